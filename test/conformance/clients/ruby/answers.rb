require 'json'

# Answers the questions on standard input with what the block returns.
def answers
  $stdout.sync = true
  $stdin.each_line(chomp: true) do |question|
    puts JSON.generate(yield(question) || {})
  rescue StandardError => e
    puts JSON.generate(error: "#{e.class}: #{e.message}")
  end
end
