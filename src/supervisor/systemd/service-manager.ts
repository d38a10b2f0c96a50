/**
 * What systemd is told over NOTIFY_SOCKET (sd_notify(3)): readiness, reloads,
 * the main process, the watchdog, and descriptors to keep for us.
 *
 * Only the main process is listened to, so a predecessor names its successor
 * while it still is that. Nothing here fails anything: a service manager that
 * does not listen is a line in the log.
 */
import type { Log } from '../../shared/log/log.ts';
import type { Libc } from '../../shared/memory/libc.ts';

type Fields = Readonly<Record<string, string>>;

interface Message {
  readonly fields: Fields;
  readonly descriptors: readonly number[];
}

const RETRY_MS = 20;
/** A manager that reads nothing for so long has lost more than our oldest words. */
const MAX_WAITING = 1_024;

export class ServiceManager {
  readonly #waiting: Message[] = [];
  #retry: NodeJS.Timeout | undefined;
  readonly #address: string;
  readonly #libc: Libc;
  readonly #log: Log;
  #watchdog: NodeJS.Timeout | undefined;
  #silent = false;

  private constructor(address: string, libc: Libc, log: Log) {
    this.#address = address;
    this.#libc = libc;
    this.#log = log;
  }

  /** Undefined if none started us, or it wants to hear nothing. */
  static fromEnvironment(libc: Libc, log: Log): ServiceManager | undefined {
    const address = process.env['NOTIFY_SOCKET'];
    // Paths and abstract names; of other kinds, such as vsock, we know nothing.
    if (address === undefined || !/^[/@]./.test(address)) return undefined;
    return new ServiceManager(address, libc, log);
  }

  /** This process is the main one, and serves. */
  serving(status: string): void {
    this.#tell({ READY: '1', MAINPID: String(process.pid), STATUS: status });
  }

  /** Until the next `serving`. */
  reloading(): void {
    const now = process.hrtime.bigint() / 1_000n;
    this.#tell({ RELOADING: '1', MONOTONIC_USEC: String(now), STATUS: 'reloading' });
  }

  stopping(status: string): void {
    this.#tell({ STOPPING: '1', STATUS: status });
  }

  /** From now on that process is the main one; it may be this one again. */
  mainProcess(pid: number): void {
    this.#tell({ MAINPID: String(pid) });
  }

  /** A successor is the main process: what we said now would be taken for a lie, or for its own words. */
  retire(): void {
    this.unwatch();
    this.#silent = true;
  }

  /** Keeps copies for whoever is started after us, should we die; they come back under that name. */
  store(name: string, descriptors: readonly number[]): void {
    // Of memory the system cannot tell when nobody needs it any more; it need not be asked.
    this.#tell({ FDSTORE: '1', FDNAME: name, FDPOLL: '0' }, descriptors);
  }

  unstore(name: string): void {
    this.#tell({ FDSTOREREMOVE: '1', FDNAME: name });
  }

  /**
   * Feeds the watchdog, if there is one, at half its time.
   *
   * @param isHealthy if not, it is not fed, and will restart us
   */
  watch(isHealthy: () => boolean): void {
    const micros = Number(process.env['WATCHDOG_USEC']);
    if (!Number.isSafeInteger(micros) || micros <= 0 || this.#watchdog !== undefined) return;
    const feed = () => {
      if (isHealthy()) this.#tell({ WATCHDOG: '1' });
      else this.#log.warn({}, 'no worker is ready: the watchdog is not fed');
    };
    feed();
    this.#watchdog = setInterval(feed, micros / 2_000);
    this.#watchdog.unref();
  }

  unwatch(): void {
    clearInterval(this.#watchdog);
    this.#watchdog = undefined;
  }

  #tell(fields: Fields, descriptors: readonly number[] = []): void {
    if (this.#silent) return;
    if (this.#waiting.length >= MAX_WAITING) this.#waiting.shift();
    this.#waiting.push({ fields, descriptors });
    this.#send();
  }

  /** In order; what its socket takes no more of now goes a moment later. */
  #send(): void {
    clearTimeout(this.#retry);
    for (;;) {
      const [next] = this.#waiting;
      if (next === undefined) return;
      try {
        if (!this.#sent(next)) {
          this.#retry = setTimeout(() => this.#send(), RETRY_MS);
          this.#retry.unref();
          return;
        }
      } catch (thrown) {
        const reason = (thrown as Error).message;
        this.#log.warn({ reason, fields: next.fields }, 'service manager not told');
      }
      this.#waiting.shift();
    }
  }

  #sent({ fields, descriptors }: Message): boolean {
    // A line is a field: a text of several would say more than it means to.
    const lines = Object.entries(fields).map(([key, value]) => `${key}=${value.split('\n')[0]}`);
    const fd = this.#libc.datagramSocket(this.#address);
    try {
      return this.#libc.sendBytes(fd, Buffer.from(lines.join('\n')), descriptors) > 0;
    } finally {
      this.#libc.close(fd);
    }
  }
}
