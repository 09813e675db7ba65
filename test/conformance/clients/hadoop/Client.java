import java.io.OutputStream;
import java.net.HttpURLConnection;
import java.net.URI;
import java.util.Arrays;
import java.util.Random;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/** A program with Hadoop's s3a. The mark provider=CLASS sets the provider of credentials. */
public class Client {
    private static FileSystem files;

    public static void main(String[] args) throws Exception {
        Program.work(Client::work);
    }

    private static void work() throws Exception {
        if (files == null) {
            makeBucket();
            files = FileSystem.newInstance(new URI("s3a://bucket/"), configuration());
        }
        byte[] up = new byte[1_000_000];
        new Random().nextBytes(up);
        Path path = new Path("/directory/key");
        try (OutputStream out = files.create(path, true)) {
            out.write(up);
        }
        byte[] down = new byte[up.length];
        try (FSDataInputStream in = files.open(path)) {
            in.readFully(0, down);
        }
        if (!Arrays.equals(down, up)) {
            throw new IllegalStateException("the object differs");
        }
    }

    private static Configuration configuration() {
        Configuration configuration = new Configuration();
        configuration.set("hadoop.tmp.dir", System.getenv("HOME"));
        configuration.set("fs.s3a.endpoint", "http://127.0.0.1:5000");
        configuration.set("fs.s3a.path.style.access", "true");
        // By default it repeats what fails for minutes.
        configuration.set("fs.s3a.attempts.maximum", "1");
        configuration.set("fs.s3a.retry.limit", "1");
        for (String mark : System.getenv("MARKS").split(" ")) {
            if (mark.startsWith("provider=")) {
                configuration.set("fs.s3a.aws.credentials.provider", mark.substring("provider=".length()));
            }
        }
        return configuration;
    }

    /** Hadoop does not create its bucket. */
    private static void makeBucket() throws Exception {
        HttpURLConnection connection = (HttpURLConnection) new URI("http://127.0.0.1:5001/bucket").toURL().openConnection();
        connection.setRequestMethod("PUT");
        connection.getResponseCode();
    }
}
