# A program with the AWS SDK for Ruby, version 3.
require 'json'
require 'aws-sdk-core'

$stdout.sync = true

# Resolves credentials at the first question, and again until there are some, like a
# program that creates its client when it needs it.
def sts
  return @sts if @sts&.config&.credentials&.set?

  @sts = Aws::STS::Client.new
end

def sign
  sts.config.credentials or raise Aws::Errors::MissingCredentialsError
  Aws::STS::Presigner.new(client: sts).get_caller_identity_presigned_url
end

def reply(question)
  case question
  when 'hello' then {}
  when 'identity' then { arn: sts.get_caller_identity.arn }
  when 'key'
    credentials = sts.config.credentials or raise Aws::Errors::MissingCredentialsError
    { key: credentials.credentials.access_key_id }
  else
    question.delete_prefix('sign ').to_i.times { sign }
    {}
  end
end

$stdin.each_line(chomp: true) do |question|
  puts JSON.generate(reply(question))
rescue StandardError => e
  puts JSON.generate(error: "#{e.class}: #{e.message}")
end
