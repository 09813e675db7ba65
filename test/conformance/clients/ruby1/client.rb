# A program with the AWS SDK for Ruby, version 1.
require 'rubygems' # which nokogiri needs
require 'uri'

# Ruby 3 has it no more.
def URI.escape(text) = URI::DEFAULT_PARSER.escape(text)

require 'aws-sdk'
require_relative '../ruby/answers'

def s3
  @s3 ||= AWS::S3.new(s3_endpoint: '127.0.0.1', s3_port: 5000, use_ssl: false, s3_force_path_style: true)
end

def work
  up = Random.bytes(1_000_000)
  s3.buckets.create('bucket') unless s3.buckets['bucket'].exists?
  s3.buckets['bucket'].objects['key'].write(up)
  raise 'the object differs' if s3.buckets['bucket'].objects['key'].read != up
end

answers { |question| work if question == 'work' }
