import java.io.BufferedWriter;
import java.io.IOException;
import java.io.OutputStreamWriter;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.*;
import java.util.regex.Pattern;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Prints the records of topics as lines of JSON: the reader of every proof, written on the broker's own client so that it shares
 * no code with what it judges. Arguments: bootstrap, isolation, how to end, then topics, or one pattern after "--pattern".
 *
 * How to end: "end" reads up to the end the log had at the start (for read_committed that is the last stable offset),
 * "follow" goes on until standard input closes and notices new topics, a number ends after that many records.
 */
public final class Consume {
    private static final Duration POLL = Duration.ofMillis(100);
    private static final long REFRESH_NANOS = 200_000_000L;

    private final KafkaConsumer<byte[], byte[]> consumer;
    private final BufferedWriter out;
    private final Set<String> topics = new TreeSet<>();
    private final Pattern pattern;
    private final Set<TopicPartition> assigned = new HashSet<>();
    private long printed;

    public static void main(String[] args) throws Exception {
        Consume c = new Consume(args);
        try {
            c.run(args[2]);
        } finally {
            c.out.flush();
            c.consumer.close(CloseOptions.timeout(Duration.ofSeconds(1)));
        }
    }

    private Consume(String[] args) {
        Properties p = new Properties();
        p.put(ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, args[0]);
        p.put(ConsumerConfig.ISOLATION_LEVEL_CONFIG, args[1]);
        p.put(ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, "false");
        p.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "none");
        p.put(ConsumerConfig.ALLOW_AUTO_CREATE_TOPICS_CONFIG, "false");
        p.put(ConsumerConfig.FETCH_MAX_WAIT_MS_CONFIG, "100");
        p.put(ConsumerConfig.KEY_DESERIALIZER_CLASS_CONFIG, ByteArrayDeserializer.class.getName());
        p.put(ConsumerConfig.VALUE_DESERIALIZER_CLASS_CONFIG, ByteArrayDeserializer.class.getName());
        consumer = new KafkaConsumer<>(p);
        out = new BufferedWriter(new OutputStreamWriter(new PrintStream(System.out, false), StandardCharsets.UTF_8), 1 << 16);
        boolean byPattern = args[3].equals("--pattern");
        pattern = byPattern ? Pattern.compile(args[4]) : null;
        if (!byPattern) topics.addAll(Arrays.asList(args).subList(3, args.length));
    }

    private void run(String how) throws IOException {
        discover();
        if (how.equals("end")) {
            untilEnd(consumer.endOffsets(assigned));
        } else if (how.equals("follow")) {
            follow(Long.MAX_VALUE);
        } else {
            follow(Long.parseLong(how));
        }
    }

    /** Reads every partition up to its end. A position passes over what is invisible, so an aborted tail does not hang it. */
    private void untilEnd(Map<TopicPartition, Long> ends) throws IOException {
        Set<TopicPartition> open = new HashSet<>(assigned);
        while (true) {
            open.removeIf(tp -> consumer.position(tp) >= ends.get(tp));
            if (open.isEmpty()) return;
            for (ConsumerRecord<byte[], byte[]> r : consumer.poll(POLL)) {
                if (r.offset() < ends.get(new TopicPartition(r.topic(), r.partition()))) print(r);
            }
        }
    }

    private void follow(long count) throws IOException {
        Thread stdin = new Thread(Consume::awaitEndOfInput);
        stdin.setDaemon(true);
        stdin.start();
        long refreshed = System.nanoTime();
        while (stdin.isAlive() && printed < count) {
            if (System.nanoTime() - refreshed > REFRESH_NANOS) {
                discover();
                refreshed = System.nanoTime();
            }
            if (assigned.isEmpty()) {
                pause();
                continue;
            }
            for (ConsumerRecord<byte[], byte[]> r : consumer.poll(POLL)) {
                if (printed < count) print(r);
            }
            out.flush();
        }
    }

    /** Assigns partitions not seen before, from their beginning; a topic that does not exist yet has none. */
    private void discover() {
        List<TopicPartition> fresh = new ArrayList<>();
        consumer.listTopics().forEach((name, partitions) -> {
            boolean wanted = pattern == null ? topics.contains(name) : pattern.matcher(name).matches();
            if (!wanted) return;
            partitions.forEach(i -> {
                TopicPartition tp = new TopicPartition(name, i.partition());
                if (assigned.add(tp)) fresh.add(tp);
            });
        });
        if (fresh.isEmpty()) return;
        consumer.assign(assigned);
        consumer.seekToBeginning(fresh);
    }

    private static void awaitEndOfInput() {
        try {
            while (System.in.read() >= 0) { }
        } catch (IOException e) {
            // a broken pipe is an end too
        }
    }

    private static void pause() {
        try {
            Thread.sleep(50);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private void print(ConsumerRecord<byte[], byte[]> r) throws IOException {
        StringBuilder b = new StringBuilder(256);
        b.append("{\"topic\":\"").append(r.topic()).append("\",\"partition\":").append(r.partition());
        b.append(",\"offset\":").append(r.offset()).append(",\"timestamp\":").append(r.timestamp());
        b.append(",\"key\":").append(bytes(r.key())).append(",\"value\":").append(bytes(r.value())).append(",\"headers\":[");
        String comma = "";
        for (Header h : r.headers()) {
            byte[] key = h.key().getBytes(StandardCharsets.UTF_8);
            b.append(comma).append("{\"key\":").append(bytes(key)).append(",\"value\":").append(bytes(h.value())).append('}');
            comma = ",";
        }
        out.append(b.append("]}\n"));
        printed++;
    }

    private static String bytes(byte[] b) {
        return b == null ? "null" : '"' + Base64.getEncoder().encodeToString(b) + '"';
    }
}
