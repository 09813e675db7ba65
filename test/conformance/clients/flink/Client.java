import java.net.URI;
import java.util.Arrays;
import java.util.Random;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.core.fs.FSDataInputStream;
import org.apache.flink.core.fs.FSDataOutputStream;
import org.apache.flink.core.fs.FileSystem;
import org.apache.flink.core.fs.FileSystemFactory;
import org.apache.flink.core.fs.Path;

/** A program with one of Flink's file systems for S3. The mark provider=CLASS sets the provider of credentials. */
public class Client {
    private static FileSystem files;

    public static void main(String[] args) throws Exception {
        Program.trust(System.getenv("SSL_CERT_FILE"));
        Program.work(Client::work);
    }

    private static void work() throws Exception {
        if (files == null) {
            files = factory().create(new URI("s3://bucket/"));
        }
        byte[] up = new byte[1_000_000];
        new Random().nextBytes(up);
        Path path = new Path("s3://bucket/directory/key");
        try (FSDataOutputStream out = files.create(path, FileSystem.WriteMode.OVERWRITE)) {
            out.write(up);
        }
        try (FSDataInputStream in = files.open(path)) {
            if (!Arrays.equals(in.readAllBytes(), up)) {
                throw new IllegalStateException("the object differs");
            }
        }
    }

    private static FileSystemFactory factory() throws Exception {
        Configuration configuration = new Configuration();
        configuration.setString("s3.endpoint", "http://127.0.0.1:5000");
        configuration.setString("s3.path.style.access", "true");
        // By default it repeats what fails for minutes.
        configuration.setString("s3.attempts.maximum", "1");
        configuration.setString("s3.retry.limit", "1");
        configuration.setString("s3.max-error-retries", "1");
        configuration.setString("s3.max-client-retries", "1");
        for (String mark : System.getenv("MARKS").split(" ")) {
            if (mark.startsWith("provider=")) {
                configuration.setString("s3.aws.credentials.provider", mark.substring("provider=".length()));
            }
        }
        FileSystemFactory factory = (FileSystemFactory) Class.forName(System.getenv("FACTORY")).getConstructor().newInstance();
        factory.configure(configuration);
        return factory;
    }
}
