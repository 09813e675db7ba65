# A program with fog-aws, GitLab's client for S3, which has no AWS SDK: it asks for
# credentials itself.
require 'rubygems' # which nokogiri needs
require 'fog/aws'
require_relative '../ruby/answers'

def storage
  s3 = Fog::AWS::Storage.new(use_iam_profile: true, endpoint: 'http://127.0.0.1:5000', path_style: true)
  s3.put_bucket('bucket', 'LocationConstraint' => s3.region)
  s3
end

def work
  s3 = ($s3 ||= storage)
  up = Random.bytes(1_000_000)
  s3.put_object('bucket', 'key', up)
  raise 'the object differs' if s3.get_object('bucket', 'key').body != up
end

answers { |question| work if question == 'work' }
