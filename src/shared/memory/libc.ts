/**
 * The calls of the C library that Node does not offer: memory shared between
 * processes, and sockets that are bound before anybody accepts on them. The only
 * file that knows koffi.
 *
 * Every result is checked: a failed call throws an error with the call's name
 * and the system's code, as Node's own do.
 */
import { chmodSync } from 'node:fs';
import { createRequire } from 'node:module';
import { isIPv6 } from 'node:net';
import { constants } from 'node:os';
import { explainSystemError } from '../open-files.ts';
import { bindCpuAffinity, type CpuAffinity } from './cpu-affinity.ts';
import { bindDescriptorPassing, type Calls, type DescriptorPassing } from './descriptor-passing.ts';
import { bindSocketSteering, type SocketSteering } from './socket-steering.ts';

export interface Libc extends DescriptorPassing, SocketSteering, CpuAffinity {
  /** Memory that only those who have the descriptor can reach; gone with the last of them. */
  createMemory(name: string, size: number): number;
  /** The memory behind the descriptor, shared with every process that maps it; unmapped when nobody refers to it. */
  mapMemory(fd: number, size: number): ArrayBuffer;
  /** A second descriptor for the same thing, closed on exec. */
  dup(fd: number): number;
  /** Makes `target` another descriptor for the same thing, whatever it was before; not closed on exec. */
  dup2(fd: number, target: number): void;
  close(fd: number): void;
  /**
   * A TCP socket with SO_REUSEPORT, so that several can share an address. It takes
   * no connection before `listen`.
   *
   * @param host numeric IPv4 or IPv6 address
   * @param port 0: the system chooses
   */
  boundSocket(host: string, port: number): number;
  /**
   * A socket with a file. Several processes may accept on copies of its descriptor.
   *
   * @param mode permissions of the file
   */
  boundUnixSocket(path: string, mode: number): number;
  /** From now on the kernel completes connections and queues them. May be called again. */
  listen(fd: number, backlog: number): void;
  /** Whether somebody listens on a Unix socket whose file is there. */
  isUnixSocketInUse(path: string): boolean;
  /** A socket for single messages to a Unix address; `@name` is one of the abstract namespace. */
  datagramSocket(address: string): number;
  /** What a descriptor from elsewhere is; undefined if it is no listening stream socket. */
  listeningPlace(fd: number): { host: string; port: number } | { path: string } | undefined;
  /** Whether other sockets of ours can share its port. */
  sharesPort(fd: number): boolean;
  /** The port a socket is bound to. */
  socketPort(fd: number): number;
  /** Throws as `bind` does if somebody else has the port: SO_REUSEPORT alone would share it silently. */
  checkPortFree(host: string, port: number): void;
}

/** Why there is none, in words for the operator. */
export interface NoLibc {
  readonly unavailable: string;
}

let opened: Libc | NoLibc | undefined;

export function openLibc(): Libc | NoLibc {
  opened ??= open();
  return opened;
}

function open(): Libc | NoLibc {
  const { platform, arch } = process;
  if (platform !== 'linux' || (arch !== 'x64' && arch !== 'arm64')) {
    return {
      unavailable: `shared memory needs Linux on x64 or arm64, and this is ${platform} on ${arch}`,
    };
  }
  try {
    // Loaded here and not at import: it is native code, which may be missing.
    const koffi = createRequire(import.meta.url)('koffi') as Koffi;
    return bind(koffi);
  } catch (thrown) {
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    return {
      unavailable: `koffi has no binary for this system (reinstall without --omit=optional): ${reason}`,
    };
  }
}

/** The part of koffi that we use. */
interface Koffi {
  load(library: null): { func(signature: string): (...args: unknown[]) => number };
  view(pointer: unknown, length: number): ArrayBuffer;
  errno(): number;
}

const MFD_CLOEXEC = 1;
const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
const F_DUPFD_CLOEXEC = 1030;
const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM_NONBLOCK_CLOEXEC = 1 | 0o4000 | 0o2000000;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_TYPE = 3;
const SO_REUSEPORT = 15;
const SO_ACCEPTCONN = 30;
const SOCK_STREAM = 1;
const SOCK_DGRAM_NONBLOCK_CLOEXEC = 2 | 0o4000 | 0o2000000;
const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = 26;

function bind(koffi: Koffi): Libc {
  const library = koffi.load(null);
  const memfdCreate = library.func('int memfd_create(const char *name, unsigned int flags)');
  const ftruncate = library.func('int ftruncate(int fd, int64_t length)');
  const mmap: (...args: unknown[]) => number | bigint = library.func(
    'intptr_t mmap(void *addr, size_t length, int prot, int flags, int fd, int64_t offset)',
  );
  const munmap = library.func('int munmap(intptr_t address, size_t length)');
  // Views keep their buffer, so nobody can reach the memory any more when this is called.
  const unmapLater = new FinalizationRegistry<{ pointer: number; size: number }>(
    ({ pointer, size }) => void munmap(pointer, size),
  );
  const fcntl = library.func('int fcntl(int fd, int command, int argument)');
  const dup2 = library.func('int dup2(int fd, int target)');
  const close = library.func('int close(int fd)');
  const socket = library.func('int socket(int domain, int type, int protocol)');
  const setsockopt = library.func(
    'int setsockopt(int fd, int level, int name, const void *value, uint32_t length)',
  );
  const bindTo = library.func('int bind(int fd, const void *address, uint32_t length)');
  const connectTo = library.func('int connect(int fd, const void *address, uint32_t length)');
  const listen = library.func('int listen(int fd, int backlog)');
  const getsockopt = library.func(
    'int getsockopt(int fd, int level, int name, void *value, void *length)',
  );
  const getsockname = library.func('int getsockname(int fd, void *address, void *length)');

  const checked = (call: string, result: number): number => {
    if (result !== -1) return result;
    throw systemError(call, koffi.errno());
  };
  const option = (fd: number, level: number, name: number) => {
    const on = Buffer.alloc(4);
    on.writeInt32LE(1);
    checked('setsockopt', setsockopt(fd, level, name, on, 4));
  };
  const optionOf = (fd: number, name: number): number => {
    const value = Buffer.alloc(4);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(value.length);
    checked('getsockopt', getsockopt(fd, SOL_SOCKET, name, value, length));
    return value.readInt32LE(0);
  };
  const nameOf = (fd: number): Buffer => {
    const address = Buffer.alloc(128);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(address.length);
    checked('getsockname', getsockname(fd, address, length));
    return address.subarray(0, length.readUInt32LE(0));
  };
  const boundSocket = (host: string, port: number, reusePort: boolean): number => {
    const family = isIPv6(host) ? AF_INET6 : AF_INET;
    const fd = checked('socket', socket(family, SOCK_STREAM_NONBLOCK_CLOEXEC, 0));
    try {
      option(fd, SOL_SOCKET, SO_REUSEADDR);
      if (reusePort) option(fd, SOL_SOCKET, SO_REUSEPORT);
      // `::` must not take the IPv4 addresses along: they are named apart in the configuration.
      if (family === AF_INET6) option(fd, IPPROTO_IPV6, IPV6_V6ONLY);
      const address = socketAddress(host, port);
      checked('bind', bindTo(fd, address, address.length));
      return fd;
    } catch (thrown) {
      close(fd);
      throw thrown;
    }
  };

  const calls: Calls = {
    func: (signature) => library.func(signature),
    errno: () => koffi.errno(),
    fail(call) {
      throw systemError(call, koffi.errno());
    },
    view: (address, length) => koffi.view(BigInt(address), length),
    socketAddress: unixSocketAddress,
  };

  return {
    ...bindDescriptorPassing(calls),
    ...bindSocketSteering(calls),
    ...bindCpuAffinity(calls),
    createMemory(name, size) {
      const fd = checked('memfd_create', memfdCreate(`sluice-${name}`, MFD_CLOEXEC));
      try {
        checked('ftruncate', ftruncate(fd, size));
      } catch (thrown) {
        close(fd);
        throw thrown;
      }
      return fd;
    },
    mapMemory(fd, size) {
      // MAP_FAILED is the pointer -1, not an exception.
      const pointer = checked('mmap', Number(mmap(null, size, PROT_READ_WRITE, MAP_SHARED, fd, 0)));
      const memory = koffi.view(BigInt(pointer), size);
      unmapLater.register(memory, { pointer, size });
      return memory;
    },
    dup: (fd) => checked('fcntl', fcntl(fd, F_DUPFD_CLOEXEC, 3)),
    dup2: (fd, target) => void checked('dup2', dup2(fd, target)),
    close: (fd) => void checked('close', close(fd)),
    boundSocket: (host, port) => boundSocket(host, port, true),
    boundUnixSocket(path, mode) {
      const fd = checked('socket', socket(AF_UNIX, SOCK_STREAM_NONBLOCK_CLOEXEC, 0));
      try {
        const address = unixSocketAddress(path);
        checked('bind', bindTo(fd, address, address.length));
        // Before anybody can connect, so that nobody does whom the mode keeps out.
        chmodSync(path, mode);
        return fd;
      } catch (thrown) {
        close(fd);
        throw thrown;
      }
    },
    listen: (fd, backlog) => void checked('listen', listen(fd, backlog)),
    isUnixSocketInUse(path) {
      const fd = checked('socket', socket(AF_UNIX, SOCK_STREAM_NONBLOCK_CLOEXEC, 0));
      try {
        const address = unixSocketAddress(path);
        if (connectTo(fd, address, address.length) === 0) return true;
        // Any other answer, such as a full queue, comes from somebody.
        return koffi.errno() !== constants.errno.ECONNREFUSED;
      } finally {
        close(fd);
      }
    },
    datagramSocket(to) {
      const fd = checked('socket', socket(AF_UNIX, SOCK_DGRAM_NONBLOCK_CLOEXEC, 0));
      try {
        const address = to.startsWith('@') ? abstractAddress(to.slice(1)) : unixSocketAddress(to);
        checked('connect', connectTo(fd, address, address.length));
        return fd;
      } catch (thrown) {
        close(fd);
        throw thrown;
      }
    },
    listeningPlace(fd) {
      try {
        if (optionOf(fd, SO_TYPE) !== SOCK_STREAM || optionOf(fd, SO_ACCEPTCONN) === 0)
          return undefined;
      } catch {
        return undefined; // No socket at all.
      }
      return placeIn(nameOf(fd));
    },
    sharesPort: (fd) => optionOf(fd, SO_REUSEPORT) !== 0,
    socketPort: (fd) => nameOf(fd).readUInt16BE(2),
    checkPortFree: (host, port) => void close(boundSocket(host, port, false)),
  };
}

/** `struct sockaddr_in` or `sockaddr_in6`: family in host order, port and address in network order. */
function socketAddress(host: string, port: number): Buffer {
  const family = isIPv6(host) ? AF_INET6 : AF_INET;
  const address = Buffer.alloc(family === AF_INET6 ? 28 : 16);
  address.writeUInt16LE(family, 0);
  address.writeUInt16BE(port, 2);
  if (family === AF_INET) Buffer.from(host.split('.').map(Number)).copy(address, 4);
  else ipv6Bytes(host).copy(address, 8);
  return address;
}

/** `sun_path` has 108 bytes, and the last of them ends it. */
const MAX_UNIX_PATH = 107;

/** `struct sockaddr_un`: family in host order, then the path and a zero. */
function unixSocketAddress(path: string): Buffer {
  const bytes = Buffer.from(path);
  if (bytes.length > MAX_UNIX_PATH) {
    throw new Error(`expected a path of at most ${MAX_UNIX_PATH} bytes, got ${bytes.length}`);
  }
  const address = Buffer.alloc(2 + bytes.length + 1);
  address.writeUInt16LE(AF_UNIX, 0);
  bytes.copy(address, 2);
  return address;
}

/** Begins with a zero, and ends where its length says. */
function abstractAddress(name: string): Buffer {
  const address = Buffer.from(`\0\0\0${name}`);
  address.writeUInt16LE(AF_UNIX, 0);
  return address;
}

function placeIn(address: Buffer): { host: string; port: number } | { path: string } | undefined {
  switch (address.readUInt16LE(0)) {
    case AF_INET:
      return { host: [...address.subarray(4, 8)].join('.'), port: address.readUInt16BE(2) };
    case AF_INET6: {
      const groups = Array.from({ length: 8 }, (_, at) => address.readUInt16BE(8 + 2 * at));
      const written = groups.map((group) => group.toString(16)).join(':');
      // The one spelling that addresses are compared by.
      return {
        host: new URL(`http://[${written}]/`).hostname.slice(1, -1),
        port: address.readUInt16BE(2),
      };
    }
    case AF_UNIX: {
      const end = address.indexOf(0, 2);
      const path = address.toString('utf8', 2, end < 0 ? address.length : end);
      return path === '' ? undefined : { path };
    }
    default:
      return undefined;
  }
}

function ipv6Bytes(host: string): Buffer {
  const groupsOf = (text: string) =>
    text === ''
      ? []
      : text.split(':').flatMap((group) => {
          if (!group.includes('.')) return [Number.parseInt(group, 16)];
          const [a = 0, b = 0, c = 0, d = 0] = group.split('.').map(Number);
          return [a * 256 + b, c * 256 + d];
        });
  const [head = '', tail] = host.split('::');
  const left = groupsOf(head);
  const right = tail === undefined ? [] : groupsOf(tail);
  const zeros = Array.from({ length: 8 - left.length - right.length }, () => 0);
  const bytes = Buffer.alloc(16);
  for (const [at, group] of [...left, ...zeros, ...right].entries())
    bytes.writeUInt16BE(group, at * 2);
  return bytes;
}

function systemError(call: string, errno: number): NodeJS.ErrnoException {
  const code =
    Object.entries(constants.errno).find(([, value]) => value === errno)?.[0] ?? `errno ${errno}`;
  const error: NodeJS.ErrnoException = new Error(
    explainSystemError({ name: 'Error', code, message: `${call} failed: ${code}` }),
  );
  error.code = code;
  error.errno = errno;
  error.syscall = call;
  return error;
}
