# A program with the AWS SDK for Ruby, version 3.
require 'aws-sdk-core'
require_relative 'answers'

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

answers { |question| reply(question) }
