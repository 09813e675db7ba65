import software.amazon.awssdk.auth.credentials.AwsCredentialsProvider;
import software.amazon.awssdk.auth.credentials.DefaultCredentialsProvider;
import software.amazon.awssdk.auth.signer.Aws4Signer;
import software.amazon.awssdk.auth.signer.params.Aws4SignerParams;
import software.amazon.awssdk.http.SdkHttpFullRequest;
import software.amazon.awssdk.http.SdkHttpMethod;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.sts.StsClient;
import software.amazon.awssdk.services.sts.model.GetCallerIdentityRequest;

/** A program with the AWS SDK for Java, version 2. */
public class Client {
    private static final AwsCredentialsProvider provider = DefaultCredentialsProvider.create();

    public static void main(String[] args) throws Exception {
        Program.trust(System.getenv("SSL_CERT_FILE"));
        Program.answer(Client::reply);
    }

    private static String reply(String question) {
        String[] words = question.split(" ");
        switch (words[0]) {
            case "identity":
                return Program.json("arn", StsClient.builder().credentialsProvider(provider).build()
                        .getCallerIdentity(GetCallerIdentityRequest.builder().build()).arn());
            case "key":
                return Program.json("key", provider.resolveCredentials().accessKeyId());
            case "sign":
                for (int n = Integer.parseInt(words[1]); n > 0; n--) {
                    sign();
                }
        }
        return Program.json();
    }

    private static void sign() {
        SdkHttpFullRequest request = SdkHttpFullRequest.builder()
                .method(SdkHttpMethod.GET).protocol("http").host("example.com").encodedPath("/").build();
        Aws4SignerParams params = Aws4SignerParams.builder().signingName("s3").signingRegion(Region.EU_WEST_1)
                .awsCredentials(provider.resolveCredentials()).build();
        Aws4Signer.create().sign(request, params);
    }
}
