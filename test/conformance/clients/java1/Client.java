import com.amazonaws.DefaultRequest;
import com.amazonaws.auth.AWS4Signer;
import com.amazonaws.auth.AWSCredentialsProvider;
import com.amazonaws.auth.DefaultAWSCredentialsProviderChain;
import com.amazonaws.http.HttpMethodName;
import com.amazonaws.services.securitytoken.AWSSecurityTokenServiceClientBuilder;
import com.amazonaws.services.securitytoken.model.GetCallerIdentityRequest;
import java.io.BufferedReader;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.net.URI;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;

/** A program with the AWS SDK for Java, version 1. */
public class Client {
    /** The default of every client of the SDK. */
    private static final AWSCredentialsProvider provider = DefaultAWSCredentialsProviderChain.getInstance();

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
                    return json("arn", AWSSecurityTokenServiceClientBuilder.defaultClient()
                            .getCallerIdentity(new GetCallerIdentityRequest()).getArn());
                case "key":
                    return json("key", provider.getCredentials().getAWSAccessKeyId());
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
        DefaultRequest<Void> request = new DefaultRequest<>("s3");
        request.setHttpMethod(HttpMethodName.GET);
        request.setEndpoint(URI.create("http://example.com"));
        AWS4Signer signer = new AWS4Signer();
        signer.setServiceName("s3");
        signer.setRegionName("eu-west-1");
        signer.sign(request, provider.getCredentials());
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
