/** The real thing for tests: a supervisor with workers, from a configuration text, on ports the system chose. */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';

const BIN = fileURLToPath(new URL('../../bin/sluice.js', import.meta.url));

export type LogLine = Readonly<Record<string, unknown>> & { readonly msg?: string };

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
  readonly body: string;
}

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface StartOptions {
  readonly threads?: number;
  /** Instead of the `sluice` command: a program that calls `Server.fromArgs()`. */
  readonly program?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Where it is started, and where relative paths begin. */
  readonly cwd?: string;
  /** How imports of `sluice` are resolved. Default: to the sources. */
  readonly conditions?: readonly string[];
  /** Limit on open files of all its processes. */
  readonly openFiles?: number;
  /** A folder that is a disk of 16 KiB for it and for what it starts. Needs root; others see it under `/proc/PID/root`. */
  readonly smallDisk?: string;
  /** Where the configuration sends the process log; default is stderr. */
  readonly logFile?: string;
  /** Descriptors that it gets as a service manager passes them. */
  readonly passed?: readonly { readonly name: string; readonly fd: number }[];
}

/** A process of ours that may or may not come up; what it printed is kept. */
export class Running {
  readonly process: ChildProcess;
  readonly ended: Promise<Ended>;
  readonly logs: LogLine[] = [];
  stdout = '';
  stderr = '';
  readonly #watchers = new Set<() => void>();

  constructor(process: ChildProcess) {
    this.process = process;
    process.stdout?.on('data', (bytes: Buffer) => {
      this.stdout += bytes.toString();
      this.#changed();
    });
    const lines = createInterface({ input: process.stderr! });
    lines.on('line', (line) => {
      this.stderr += `${line}\n`;
      if (line.startsWith('{')) this.logs.push(JSON.parse(line) as LogLine);
      this.#changed();
    });
    const closed = new Promise<void>((resolve) => lines.on('close', resolve));
    this.ended = new Promise((resolve) => {
      process.on('close', async (code, signal) => {
        await closed;
        resolve({ code, signal, stdout: this.stdout, stderr: this.stderr });
        this.#changed();
      });
    });
  }

  get pid(): number {
    return this.process.pid!;
  }

  /** Resolves with the first log line that fits. */
  logged(fits: (line: LogLine, index: number) => boolean): Promise<LogLine> {
    return this.until(() => this.logs.find(fits), 'such a log line');
  }

  /** Resolves once `look` finds something in what was printed; rejects if the process ends before. */
  until<T>(look: () => T | undefined, what: string): Promise<T> {
    return new Promise((resolve, reject) => {
      const check = () => {
        const found = look();
        if (found !== undefined) resolve(found);
        else if (this.process.exitCode !== null || this.process.signalCode !== null) {
          reject(new Error(`ended before ${what}: ${this.stderr}${this.stdout}`));
        } else return;
        this.#watchers.delete(check);
      };
      this.#watchers.add(check);
      check();
    });
  }

  #changed(): void {
    for (const watcher of this.#watchers) watcher();
  }
}

export interface Sluice extends Running {
  /** Port of the first listener. */
  readonly port: number;
  readonly adminPort: number;
  /** Path of its configuration. */
  readonly conf: string;
  /** All of them, in the order of the configuration. */
  readonly addresses: readonly { readonly service: string; readonly port: number }[];
  get(path: string, init?: RequestInit): Promise<Answer>;
  /** Value of one series on the metrics page, such as `sluice_requests_total{service="edge",status="200"}`. */
  metric(series: string): Promise<number>;
  /** The admin page's account of the workers. */
  status(): Promise<Status>;
  /** Resolves once that worker is gone and all workers are ready. */
  replaced(pid: number): Promise<void>;
  /** Resolves once new connections are refused. */
  refusing(): Promise<void>;
  /** Another configuration, for the next reload. */
  configure(yaml: string): void;
  /** Sends SIGHUP and waits for what comes of it. */
  reload(): Promise<Reloaded>;
}

export interface Reloaded {
  readonly kind: 'done' | 'refused';
  /** What the operator is told. */
  readonly text: string;
}

export interface Status {
  readonly workers: readonly {
    readonly number: number;
    readonly generation: number;
    readonly state: string;
    readonly pid: number;
  }[];
  readonly restarts: number;
}

export interface RequestInit {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
  readonly agent?: Agent;
  /** Source address of the connection. */
  readonly localAddress?: string;
}

/** Starts without waiting for anything: for tests about starts that fail. */
export function launch(
  t: TestContext,
  args: readonly string[],
  {
    program = BIN,
    env,
    cwd,
    conditions = ['sluice-source'],
    openFiles,
    smallDisk,
    passed = [],
  }: StartOptions = {},
): Running {
  const command = [
    process.execPath,
    ...conditions.map((name) => `--conditions=${name}`),
    program,
    ...args,
  ];
  const preparations = [
    ...(openFiles === undefined ? [] : [`ulimit -n ${openFiles}`]),
    ...(smallDisk === undefined ? [] : [`mount -t tmpfs -o size=16k none ${smallDisk}`]),
    // Only the process itself knows its number.
    ...(passed.length === 0 ? [] : ['export LISTEN_PID=$$']),
  ];
  const prepared = ['sh', '-c', [...preparations, 'exec "$0" "$@"'].join(' && '), ...command];
  const alone = smallDisk === undefined ? prepared : ['unshare', '--mount', ...prepared];
  const [file = '', ...rest] = preparations.length === 0 ? command : alone;
  const listen = {
    LISTEN_FDS: String(passed.length),
    LISTEN_FDNAMES: passed.map(({ name }) => name).join(':'),
  };
  const child = spawn(file, rest, {
    stdio: ['ignore', 'pipe', 'pipe', ...passed.map(({ fd }) => fd)],
    env: {
      ...process.env,
      NODE_TEST_CONTEXT: undefined,
      ...(passed.length > 0 && listen),
      ...env,
    },
    ...(cwd !== undefined && { cwd }),
  });
  const running = new Running(child);
  t.after(async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGINT');
    await running.ended;
  });
  return running;
}

/** A file with that content in a folder that ends with the test. */
export function temporaryFile(t: TestContext, name: string, content: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-test-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

/** Starts and waits until every worker accepts. `version`, `admin` and `access_log` have defaults. */
export async function startSluice(
  t: TestContext,
  yaml: string,
  options: StartOptions = {},
): Promise<Sluice> {
  const { threads = 1 } = options;
  const conf = temporaryFile(t, 'conf.yaml', completed(yaml, threads));
  const running = launch(t, ['-c', conf], options);
  const serving = await servingLine(running, options.logFile);
  const addresses = serving['addresses'] as { service: string; port: number }[];
  const [first] = addresses;
  const admin = serving['admin'] as { port: number };
  const status = async () => JSON.parse((await get(admin.port, '/status')).body) as Status;
  return Object.assign(running, {
    port: first!.port,
    adminPort: admin.port,
    conf,
    addresses,
    get: (path: string, init?: RequestInit) => get(first!.port, path, init),
    async metric(series: string) {
      const { body } = await get(admin.port, '/metrics');
      const line = body.split('\n').find((each) => each.startsWith(`${series} `));
      return line === undefined ? 0 : Number(line.slice(series.length + 1));
    },
    status,
    replaced: (pid: number) =>
      eventually(async () => {
        const { workers } = await status();
        const ready = workers.every((worker) => worker.state === 'ready' && worker.pid !== pid);
        return ready ? true : undefined;
      }, `worker ${pid} to be replaced`).then(() => {}),
    refusing: () => eventually(() => isRefused(first!.port), 'refused connections').then(() => {}),
    configure: (changed: string) => writeFileSync(conf, completed(changed, threads)),
    reload: () => reload(running),
  });
}

/** With what every test wants, unless it says otherwise. */
function completed(yaml: string, threads: number): string {
  const heads = [
    'version: 1',
    `threads: ${threads}`,
    'admin: { listen: 127.0.0.1:0 }',
    'access_log: "off"',
  ];
  const missing = heads.filter((line) => !new RegExp(`^ *${line.split(':')[0]}:`, 'm').test(yaml));
  return `${missing.join('\n')}\n${dedent(yaml)}`;
}

async function reload(running: Running): Promise<Reloaded> {
  const before = running.logs.length;
  running.process.kill('SIGHUP');
  const { msg, reason } = await running.logged(
    (line, index) =>
      index >= before && line['signal'] === 'SIGHUP' && line.msg !== 'signal received',
  );
  if (typeof reason === 'string') return { kind: 'refused', text: reason };
  return { kind: 'done', text: msg! };
}

function servingLine(running: Running, logFile: string | undefined): Promise<LogLine> {
  const isIt = ({ msg }: LogLine) => msg === 'serving';
  if (logFile === undefined) return running.logged(isIt);
  return eventually(async () => {
    const lines = existsSync(logFile) ? readFileSync(logFile, 'utf8').split('\n') : [];
    return lines
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as LogLine)
      .find(isIt);
  }, 'the line that says it serves');
}

function isRefused(port: number): Promise<true | undefined> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('connect', () => {
      socket.destroy();
      resolve(undefined);
    });
    socket.on('error', ({ code }: NodeJS.ErrnoException) =>
      resolve(code === 'ECONNREFUSED' ? true : undefined),
    );
  });
}

/** One request on a connection of its own, unless an agent says otherwise. */
export function get(port: number, path: string, init: RequestInit = {}): Promise<Answer> {
  const { method = 'GET', headers = {}, body, localAddress } = init;
  const { agent = new Agent({ keepAlive: false }) } = init;
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      { host: '127.0.0.1', port, path, method, headers, agent, localAddress },
      (response) => {
        const pieces: Buffer[] = [];
        response.on('data', (piece: Buffer) => pieces.push(piece));
        response.on('error', reject);
        response.on('end', () => {
          const { statusCode: status = 0, headers: fields, rawHeaders } = response;
          resolve({
            status,
            headers: fields,
            rawHeaders,
            body: Buffer.concat(pieces).toString('latin1'),
          });
        });
      },
    );
    request.on('error', reject);
    request.end(body);
  });
}

/** Repeats `look` until it gives something: for facts that only another process knows. */
export async function eventually<T>(look: () => Promise<T | undefined>, what: string): Promise<T> {
  const giveUpAt = Date.now() + 20_000;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (Date.now() > giveUpAt) throw new Error(`waited 20 s for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export function dedent(text: string): string {
  const lines = text.replace(/^\n/, '').split('\n');
  const indents = lines
    .filter((line) => line.trim() !== '')
    .map((line) => /^ */.exec(line)![0].length);
  return lines.map((line) => line.slice(Math.min(...indents))).join('\n');
}
