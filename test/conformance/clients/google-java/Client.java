import com.google.auth.oauth2.AwsCredentials;
import com.google.auth.oauth2.ExternalAccountCredentials;
import java.io.ByteArrayInputStream;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** A program with Google's library for Java, outside Google Cloud on AWS: see ../google-py/client.py. */
public class Client {
    private static final String METADATA = "http://169.254.169.254/latest/";
    private static final String INFO = "{'type': 'external_account',"
            + " 'audience': '//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/aws',"
            + " 'subject_token_type': 'urn:ietf:params:aws:token-type:aws4_request',"
            + " 'token_url': 'https://sts.googleapis.com/v1/token',"
            + " 'credential_source': {'environment_id': 'aws1',"
            + " 'region_url': '" + METADATA + "meta-data/placement/availability-zone',"
            + " 'url': '" + METADATA + "meta-data/iam/security-credentials',"
            + " 'imdsv2_session_token_url': '" + METADATA + "api/token',"
            + " 'regional_cred_verification_url': 'https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15'}}";

    public static void main(String[] args) throws Exception {
        Program.answer(question -> question.equals("hello") ? Program.json() : reply());
    }

    private static String reply() throws Exception {
        byte[] info = INFO.replace('\'', '"').getBytes(StandardCharsets.UTF_8);
        AwsCredentials credentials = (AwsCredentials) ExternalAccountCredentials.fromStream(new ByteArrayInputStream(info));
        String request = URLDecoder.decode(credentials.retrieveSubjectToken(), "UTF-8");
        Matcher scope = find("Credential=([^/]*)/[^/]*/([^/]*)/", request);
        String token = find("(?i)\"x-amz-security-token\",\"value\":\"([^\"]*)\"", request).group(1).replace("\\u003d", "=");
        return Program.json("key", scope.group(1), "token", token, "region", scope.group(2));
    }

    private static Matcher find(String pattern, String text) {
        Matcher matcher = Pattern.compile(pattern).matcher(text);
        if (!matcher.find()) {
            throw new IllegalStateException("no " + pattern + " in " + text);
        }
        return matcher;
    }
}
