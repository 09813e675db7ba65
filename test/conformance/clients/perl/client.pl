# A program with Net::Amazon::S3, which asks for credentials with VM::EC2.
use strict;
use warnings;
use JSON::PP;
use Net::Amazon::S3;
use Net::Amazon::S3::Authorization::IAM;

$| = 1;
my $s3;

sub work {
    $s3 ||= Net::Amazon::S3->new(
        authorization_context => Net::Amazon::S3::Authorization::IAM->new,
        host => '127.0.0.1:5000', secure => 0, use_virtual_host => 0);
    my $bucket = $s3->add_bucket({ bucket => 'bucket', location_constraint => $ENV{AWS_REGION} })
        || $s3->bucket('bucket');
    my $up = join '', map { chr rand 256 } 1 .. 1_000_000;
    $bucket->add_key('key', $up) or die $s3->err, ': ', $s3->errstr, "\n";
    my $down = $bucket->get_key('key') or die "no object\n";
    die "the object differs\n" if $down->{value} ne $up;
}

while (my $question = <STDIN>) {
    my $answer = {};
    eval { work() if $question eq "work\n"; 1 } or $answer = { error => "$@" };
    print encode_json($answer), "\n";
}
