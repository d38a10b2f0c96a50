/**
 * Messages between processes of one host that carry open descriptors
 * (SCM_RIGHTS on Unix stream sockets). Every call returns at once.
 *
 * The C structures stand in one piece of memory whose address is known:
 *
 *   offset  what
 *        0  struct msghdr (56 bytes)
 *       64  struct iovec (16 bytes): where the data is
 *      128  struct cmsghdr (16 bytes), then the descriptors, 4 bytes each
 *     4096  the data
 */
import { constants } from 'node:os';

export interface PeerCredentials {
  /** Of the process that connected, or called `listen`; 0 if it is in another PID namespace. */
  readonly pid: number;
  /** Effective, at that moment. */
  readonly uid: number;
  readonly gid: number;
}

export interface ReceivedBytes {
  readonly bytes: Buffer;
  /** New ones of this process, closed on exec; whoever receives them closes them. */
  readonly descriptors: readonly number[];
}

export interface DescriptorPassing {
  /** Two connected sockets. */
  socketPair(): [number, number];
  /** The next connection to a listening Unix socket; undefined if there is none. */
  acceptUnix(listener: number): number | undefined;
  /** Throws with the code ENOENT or ECONNREFUSED where nobody listens, EAGAIN where too many wait. */
  connectUnix(path: string): number;
  peerCredentials(fd: number): PeerCredentials;
  /**
   * @param descriptors stay open here; they go with the first byte
   * @returns how many bytes the system has taken; 0 if it takes none now, and then no descriptor
   */
  sendBytes(fd: number, bytes: Uint8Array, descriptors: readonly number[]): number;
  /**
   * What has arrived; `nothing` if nothing has, `end` once the other side has closed.
   *
   * @throws {Error} descriptors were lost: more came than a message may carry, or this process
   *   may not open so many. Those that came are closed.
   */
  receiveBytes(fd: number): ReceivedBytes | 'nothing' | 'end';
}

/** What `libc.ts` gives to make calls with. */
export interface Calls {
  readonly func: (signature: string) => (...args: unknown[]) => number;
  readonly errno: () => number;
  /** Throws an error with the call's name and the system's code. */
  readonly fail: (call: string) => never;
  readonly view: (address: number, length: number) => ArrayBuffer;
  readonly socketAddress: (path: string) => Buffer;
}

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK_CLOEXEC = 0o4000 | 0o2000000;
const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
const SCM_RIGHTS = 1;
const MSG_CTRUNC = 0x8;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x40000000;
const PROT_READ_WRITE = 3;
const MAP_PRIVATE_ANONYMOUS = 0x22;

/** SCM_MAX_FD of the kernel. */
const MAX_DESCRIPTORS = 253;

const HEADER_AT = 0;
const VECTOR_AT = 64;
const CONTROL_AT = 128;
const CONTROL_HEADER_BYTES = 16;
const CONTROL_BYTES = controlSpace(MAX_DESCRIPTORS);
const FLAGS_AT = 48;
const DATA_AT = 4_096;
const DATA_BYTES = 64 * 1024;

export function bindDescriptorPassing(calls: Calls): DescriptorPassing {
  const socket = calls.func('int socket(int domain, int type, int protocol)');
  const socketpair = calls.func('int socketpair(int domain, int type, int protocol, void *pair)');
  const accept4 = calls.func('int accept4(int fd, void *address, void *length, int flags)');
  const connect = calls.func('int connect(int fd, const void *address, uint32_t length)');
  const close = calls.func('int close(int fd)');
  const getsockopt = calls.func(
    'int getsockopt(int fd, int level, int name, void *value, void *length)',
  );
  const sendmsg = calls.func('int64_t sendmsg(int fd, intptr_t message, int flags)');
  const recvmsg = calls.func('int64_t recvmsg(int fd, intptr_t message, int flags)');

  const checked = (call: string, result: number) => (result === -1 ? calls.fail(call) : result);
  const wouldBlock = () => calls.errno() === constants.errno.EAGAIN;
  let opened: Scratch | undefined;
  // Not with the library: only a process that hands over needs it.
  const scratch = () => (opened ??= openScratch(calls));

  return {
    socketPair() {
      const pair = Buffer.alloc(8);
      checked('socketpair', socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK_CLOEXEC, 0, pair));
      return [pair.readInt32LE(0), pair.readInt32LE(4)];
    },
    acceptUnix(listener) {
      const fd = accept4(listener, null, null, SOCK_NONBLOCK_CLOEXEC);
      if (fd === -1 && wouldBlock()) return undefined;
      return checked('accept4', fd);
    },
    connectUnix(path) {
      const fd = checked('socket', socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK_CLOEXEC, 0));
      try {
        const address = calls.socketAddress(path);
        checked('connect', connect(fd, address, address.length));
        return fd;
      } catch (thrown) {
        close(fd);
        throw thrown;
      }
    },
    peerCredentials(fd) {
      const value = Buffer.alloc(12);
      const length = Buffer.alloc(4);
      length.writeUInt32LE(value.length);
      checked('getsockopt', getsockopt(fd, SOL_SOCKET, SO_PEERCRED, value, length));
      return {
        pid: value.readInt32LE(0),
        uid: value.readUInt32LE(4),
        gid: value.readUInt32LE(8),
      };
    },
    sendBytes(fd, bytes, descriptors) {
      if (descriptors.length > MAX_DESCRIPTORS)
        throw new Error(`at most ${MAX_DESCRIPTORS} descriptors fit, got ${descriptors.length}`);
      const { address, prepareToSend } = scratch();
      prepareToSend(bytes, descriptors);
      const sent = sendmsg(fd, address, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent === -1 && wouldBlock()) return 0;
      return checked('sendmsg', sent);
    },
    receiveBytes(fd) {
      const { address, prepareToReceive, received } = scratch();
      prepareToReceive();
      const count = recvmsg(fd, address, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
      if (count === -1 && wouldBlock()) return 'nothing';
      checked('recvmsg', count);
      const { truncated, ...arrived } = received(count);
      if (truncated) {
        for (const each of arrived.descriptors) close(each);
        throw new Error('descriptors were lost on the way (MSG_CTRUNC)');
      }
      return count === 0 ? 'end' : arrived;
    },
  };
}

interface Scratch {
  readonly address: number;
  readonly prepareToSend: (bytes: Uint8Array, descriptors: readonly number[]) => void;
  readonly prepareToReceive: () => void;
  readonly received: (count: number) => ReceivedBytes & { readonly truncated: boolean };
}

function openScratch({ func, fail, view }: Calls): Scratch {
  const mmap = func(
    'intptr_t mmap(void *addr, size_t length, int prot, int flags, int fd, int64_t offset)',
  );
  const length = DATA_AT + DATA_BYTES;
  const address = mmap(null, length, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0);
  if (address === -1) fail('mmap');
  const memory = view(address, length);
  const fields = new DataView(memory);
  const data = Buffer.from(memory, DATA_AT, DATA_BYTES);

  const prepare = (bytes: number, controlBytes: number) => {
    new Uint8Array(memory, 0, DATA_AT).fill(0);
    const pointer = (at: number, target: number) =>
      fields.setBigUint64(at, BigInt(address + target), true);
    const size = (at: number, value: number) => fields.setBigUint64(at, BigInt(value), true);
    pointer(HEADER_AT + 16, VECTOR_AT);
    size(HEADER_AT + 24, 1);
    if (controlBytes > 0) pointer(HEADER_AT + 32, CONTROL_AT);
    size(HEADER_AT + 40, controlBytes);
    pointer(VECTOR_AT, DATA_AT);
    size(VECTOR_AT + 8, bytes);
  };

  return {
    address,
    prepareToSend(bytes, descriptors) {
      const part = bytes.subarray(0, DATA_BYTES);
      prepare(part.length, descriptors.length === 0 ? 0 : controlSpace(descriptors.length));
      data.set(part);
      if (descriptors.length === 0) return;
      const messageBytes = CONTROL_HEADER_BYTES + 4 * descriptors.length;
      fields.setBigUint64(CONTROL_AT, BigInt(messageBytes), true);
      fields.setInt32(CONTROL_AT + 8, SOL_SOCKET, true);
      fields.setInt32(CONTROL_AT + 12, SCM_RIGHTS, true);
      for (const [index, fd] of descriptors.entries())
        fields.setInt32(CONTROL_AT + CONTROL_HEADER_BYTES + 4 * index, fd, true);
    },
    prepareToReceive: () => prepare(DATA_BYTES, CONTROL_BYTES),
    received: (count) => ({
      // A copy: the memory is used again.
      bytes: Buffer.from(data.subarray(0, count)),
      descriptors: descriptorsIn(fields),
      truncated: (fields.getInt32(HEADER_AT + FLAGS_AT, true) & MSG_CTRUNC) !== 0,
    }),
  };
}

function descriptorsIn(fields: DataView): number[] {
  const controlBytes = Number(fields.getBigUint64(HEADER_AT + 40, true));
  if (controlBytes < CONTROL_HEADER_BYTES) return [];
  const level = fields.getInt32(CONTROL_AT + 8, true);
  const type = fields.getInt32(CONTROL_AT + 12, true);
  // Nothing else was asked for, so nothing else comes.
  if (level !== SOL_SOCKET || type !== SCM_RIGHTS) return [];
  const messageBytes = Number(fields.getBigUint64(CONTROL_AT, true));
  return Array.from({ length: (messageBytes - CONTROL_HEADER_BYTES) / 4 }, (_, index) =>
    fields.getInt32(CONTROL_AT + CONTROL_HEADER_BYTES + 4 * index, true),
  );
}

/** CMSG_SPACE: header and content, rounded up to 8. */
function controlSpace(descriptors: number): number {
  return CONTROL_HEADER_BYTES + Math.ceil((4 * descriptors) / 8) * 8;
}
