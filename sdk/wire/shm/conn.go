package shm

// PacketLimit is the largest packet of the protocol in bytes, and so the size of a buffer that
// receives any packet. What a Conn can send may be less: see Conn.MaxPacket.
const PacketLimit = 192 << 10

// filesLimit is how many descriptors a packet may carry.
const filesLimit = 4
