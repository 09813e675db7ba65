<?php

// A program with AsyncAws, an AWS SDK for PHP.

use AsyncAws\Core\Configuration;
use AsyncAws\Core\Credentials\CacheProvider;
use AsyncAws\Core\Credentials\ChainProvider;
use AsyncAws\Core\Credentials\Credentials;
use AsyncAws\Core\Request;
use AsyncAws\Core\RequestContext;
use AsyncAws\Core\Signer\SignerV4;
use AsyncAws\Core\Stream\StringStream;
use AsyncAws\Core\Sts\StsClient;

require_once 'AsyncAws/Core/autoload.php';

$configuration = Configuration::create([]);
$provider = new CacheProvider(ChainProvider::createDefaultChain());

function credentials(): Credentials
{
    global $configuration, $provider;
    $credentials = $provider->getCredentials($configuration);
    if ($credentials === null) {
        throw new RuntimeException('no credentials');
    }

    return $credentials;
}

function sign(): void
{
    $request = new Request('GET', '/', [], [], StringStream::create(''));
    $request->setEndpoint('https://example.com/');
    (new SignerV4('s3', getenv('AWS_REGION')))->sign($request, credentials(), new RequestContext());
}

function reply(string $question): array
{
    global $configuration, $provider;
    switch (strtok($question, ' ')) {
        case 'hello':
            return [];
        case 'identity':
            credentials(); // fails if there are none: the SDK would send an unsigned request
            return ['arn' => (new StsClient($configuration, $provider))->getCallerIdentity()->getArn()];
        case 'key':
            return ['key' => credentials()->getAccessKeyId()];
    }
    for ($n = (int) strtok(' '); $n > 0; --$n) {
        sign();
    }

    return [];
}

while (($question = fgets(STDIN)) !== false) {
    try {
        $answer = reply(trim($question));
    } catch (Throwable $e) {
        $answer = ['error' => get_class($e).': '.$e->getMessage()];
    }
    echo json_encode((object) $answer), "\n";
}
