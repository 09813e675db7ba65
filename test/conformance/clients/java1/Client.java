import com.amazonaws.DefaultRequest;
import com.amazonaws.auth.AWS4Signer;
import com.amazonaws.auth.AWSCredentialsProvider;
import com.amazonaws.auth.DefaultAWSCredentialsProviderChain;
import com.amazonaws.http.HttpMethodName;
import com.amazonaws.services.securitytoken.AWSSecurityTokenServiceClientBuilder;
import com.amazonaws.services.securitytoken.model.GetCallerIdentityRequest;
import java.net.URI;

/** A program with the AWS SDK for Java, version 1. */
public class Client {
    /** The default of every client of the SDK. */
    private static final AWSCredentialsProvider provider = DefaultAWSCredentialsProviderChain.getInstance();

    public static void main(String[] args) throws Exception {
        Program.trust(System.getenv("SSL_CERT_FILE"));
        Program.answer(Client::reply);
    }

    private static String reply(String question) {
        String[] words = question.split(" ");
        switch (words[0]) {
            case "identity":
                return Program.json("arn", AWSSecurityTokenServiceClientBuilder.defaultClient()
                        .getCallerIdentity(new GetCallerIdentityRequest()).getArn());
            case "key":
                return Program.json("key", provider.getCredentials().getAWSAccessKeyId());
            case "sign":
                for (int n = Integer.parseInt(words[1]); n > 0; n--) {
                    sign();
                }
        }
        return Program.json();
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
}
