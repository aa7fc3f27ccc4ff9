package txbuffer

// Stats is a view of a ring for metrics and for the watchdog.
type Stats struct {
	Bytes, BytesHigh, BytesLimit int64 // memory in use, its high-water mark, and RingBytes
	Slots                        int   // transactions committed and not yet released
	Queued                       int   // of these, not yet begun by the consumer
	SpillBytes, SpillBytesHigh   int64 // on disk now, and the high-water mark

	// These only rise.
	Commits      uint64 // transactions that became visible
	Takes        uint64 // pieces the consumer took
	Releases     uint64 // pieces released
	SpilledTxs   uint64 // transactions committed from disk
	SpilledBytes uint64 // bytes sent to disk
	Waits        uint64 // times the producer had to wait

	// What each side waits for at this moment: a producer that waits with
	// nothing released, or a consumer that is idle with transactions queued,
	// is stuck.
	ProducerWaits, ConsumerWaits bool
}

// Stats returns the numbers as they are now.
func (r *Ring) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Stats{
		Bytes: r.main.used + r.back.used, BytesHigh: r.main.high + r.back.high, BytesLimit: r.cfg.RingBytes,
		Slots: r.inFlight, Queued: r.queue.n,
		SpillBytes: r.disk.used, SpillBytesHigh: r.disk.high,
		Commits: r.count.commits, Takes: r.count.takes, Releases: r.count.releases,
		SpilledTxs: r.count.spilledTxs, SpilledBytes: r.count.spilledBytes,
		Waits: r.producer.waits, ProducerWaits: r.producer.why != idle, ConsumerWaits: r.consumer.why != idle,
	}
}
