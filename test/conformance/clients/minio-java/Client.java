import io.minio.GetObjectArgs;
import io.minio.MakeBucketArgs;
import io.minio.MinioClient;
import io.minio.PutObjectArgs;
import io.minio.credentials.IamAwsProvider;
import java.io.ByteArrayInputStream;
import java.io.InputStream;
import java.util.Arrays;
import java.util.Random;

/** A program with MinIO's client for Java, which has no AWS SDK: it asks for credentials itself. */
public class Client {
    private static MinioClient client;

    public static void main(String[] args) throws Exception {
        Program.work(Client::work);
    }

    private static void work() throws Exception {
        if (client == null) {
            MinioClient first = MinioClient.builder().endpoint("http://127.0.0.1:5000").region(System.getenv("AWS_REGION"))
                    .credentialsProvider(new IamAwsProvider(null, null)).build();
            first.makeBucket(MakeBucketArgs.builder().bucket("bucket").build());
            client = first;
        }
        byte[] up = new byte[1_000_000];
        new Random().nextBytes(up);
        client.putObject(PutObjectArgs.builder().bucket("bucket").object("key").stream(new ByteArrayInputStream(up), up.length, -1).build());
        try (InputStream down = client.getObject(GetObjectArgs.builder().bucket("bucket").object("key").build())) {
            if (!Arrays.equals(down.readAllBytes(), up)) {
                throw new IllegalStateException("the object differs");
            }
        }
    }
}
