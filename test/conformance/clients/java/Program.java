import java.io.BufferedReader;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;

/** What the programs in Java share. */
class Program {
    interface Work {
        void run() throws Exception;
    }

    interface Reply {
        String to(String question) throws Exception;
    }

    /** Does the work when it is asked for. */
    static void work(Work work) throws Exception {
        answer(question -> {
            if (question.equals("work")) {
                work.run();
            }
            return json();
        });
    }

    /** Answers the questions on standard input. */
    static void answer(Reply reply) throws Exception {
        BufferedReader questions = new BufferedReader(new InputStreamReader(System.in));
        for (String question; (question = questions.readLine()) != null; ) {
            String answer;
            try {
                answer = reply.to(question);
            } catch (Throwable e) {
                e.printStackTrace();
                answer = json("error", e.toString());
            }
            System.out.println(answer);
        }
    }

    /** Returns an object with these names and values. */
    static String json(String... pairs) {
        StringBuilder object = new StringBuilder();
        for (int i = 0; i < pairs.length; i += 2) {
            String text = pairs[i + 1].replaceAll("[\\x00-\\x1f]", " ").replace("\\", "\\\\").replace("\"", "\\\"");
            object.append(i == 0 ? "" : ", ").append("\"" + pairs[i] + "\": \"" + text + "\"");
        }
        return "{" + object + "}";
    }

    /** Java cannot read PEM files, only its own key stores. */
    static void trust(String certificate) throws Exception {
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
