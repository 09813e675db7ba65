import java.io.BufferedReader;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
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
        trust(System.getenv("SSL_CERT_FILE"));
        BufferedReader questions = new BufferedReader(new InputStreamReader(System.in));
        for (String question; (question = questions.readLine()) != null; ) {
            System.out.println(reply(question));
        }
    }

    private static String reply(String question) {
        try {
            String[] words = question.split(" ");
            switch (words[0]) {
                case "identity":
                    return json("arn", StsClient.builder().credentialsProvider(provider).build()
                            .getCallerIdentity(GetCallerIdentityRequest.builder().build()).arn());
                case "key":
                    return json("key", provider.resolveCredentials().accessKeyId());
                case "sign":
                    for (int n = Integer.parseInt(words[1]); n > 0; n--) {
                        sign();
                    }
            }
            return "{}";
        } catch (Exception e) {
            return json("error", e.toString());
        }
    }

    private static void sign() {
        SdkHttpFullRequest request = SdkHttpFullRequest.builder()
                .method(SdkHttpMethod.GET).protocol("http").host("example.com").encodedPath("/").build();
        Aws4SignerParams params = Aws4SignerParams.builder().signingName("s3").signingRegion(Region.EU_WEST_1)
                .awsCredentials(provider.resolveCredentials()).build();
        Aws4Signer.create().sign(request, params);
    }

    private static String json(String name, String value) {
        String text = value.replaceAll("[\\x00-\\x1f]", " ").replace("\\", "\\\\").replace("\"", "\\\"");
        return "{\"" + name + "\": \"" + text + "\"}";
    }

    /** Java cannot read PEM files, only its own key stores. */
    private static void trust(String certificate) throws Exception {
        KeyStore store = KeyStore.getInstance("JKS");
        store.load(null, null);
        String path = System.getenv("HOME") + "/trusted";
        try (InputStream in = new FileInputStream(certificate); OutputStream out = new FileOutputStream(path)) {
            store.setCertificateEntry("sts", CertificateFactory.getInstance("X.509").generateCertificate(in));
            store.store(out, "changeit".toCharArray());
        }
        System.setProperty("javax.net.ssl.trustStore", path);
    }
}
