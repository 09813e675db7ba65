import java.util.Arrays;
import java.util.Random;
import org.tensorflow.DataType;
import org.tensorflow.Graph;
import org.tensorflow.Output;
import org.tensorflow.Session;
import org.tensorflow.Tensor;

/** A program with TensorFlow, which has the AWS SDK for C++ inside, for its files in S3. */
public class Client {
    public static void main(String[] args) throws Exception {
        Program.work(Client::work);
    }

    private static void work() throws Exception {
        byte[] up = new byte[1_000_000];
        new Random().nextBytes(up);
        try (Graph graph = new Graph(); Session session = new Session(graph)) {
            Output file = constant(graph, "file", "s3://bucket/key".getBytes("UTF-8"));
            graph.opBuilder("WriteFile", "write").addInput(file).addInput(constant(graph, "contents", up)).build();
            graph.opBuilder("ReadFile", "read").addInput(file).build();
            session.runner().addTarget("write").run();
            Tensor down = (Tensor) session.runner().fetch("read").run().get(0);
            if (!Arrays.equals(down.bytesValue(), up)) {
                throw new IllegalStateException("the object differs");
            }
        }
    }

    private static Output constant(Graph graph, String name, byte[] value) {
        return graph.opBuilder("Const", name).setAttr("dtype", DataType.STRING).setAttr("value", Tensor.create(value)).build().output(0);
    }
}
