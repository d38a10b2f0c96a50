/**
 * `npm start`: two origins and a gateway in front of them, and what to try.
 *
 *     npm start                                   on the ports of conf.yaml
 *     npm start -- --ports 7188,9280,9201,9202    gateway, admin, two origins: if those are taken
 *
 * Everything it starts ends with it.
 */
import { fork, spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

const CONF = here('./conf.yaml');
/** As in conf.yaml: gateway, admin, two origins. */
const USUAL_PORTS = [6188, 9180, 9101, 9102] as const;
const ports = portsFromArgs();
const [GATEWAY, ADMIN] = ports.map((port) => `http://127.0.0.1:${port}`);
const ORIGIN_PORTS = ports.slice(2);
const READY_WITHIN_MS = 30_000;

const children: ChildProcess[] = [];
let stopping = false;

async function main(): Promise<void> {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stop());
  const origins = await Promise.all(ORIGIN_PORTS.map(startOrigin));
  const conf = confForPorts();
  const gateway = startGateway(conf);
  await gatewayReady(gateway);
  process.stdout.write(whatToTry(origins, gateway, conf));
  const code = await ended(gateway);
  stop();
  process.exitCode = code;
}

function startOrigin(port: number): Promise<ChildProcess> {
  const origin = fork(here('./origin.ts'), [String(port)], { detached: true });
  children.push(origin);
  return new Promise((resolve) => {
    origin.once('message', () => resolve(origin));
    origin.once('exit', (code) => {
      // Ended later on, it was you who ended it, to see what the gateway does.
      if (code === 1) fail(`origin ${port} could not start; is something else listening there?`);
    });
  });
}

function portsFromArgs(): readonly number[] {
  const { ports: given } = parseArgs({ options: { ports: { type: 'string' } } }).values;
  if (given === undefined) return USUAL_PORTS;
  const chosen = given.split(',').map(Number);
  if (chosen.length === USUAL_PORTS.length && chosen.every((port) => port > 0 && port < 65_536))
    return chosen;
  return fail(`--ports: expected four port numbers, got "${given}"`);
}

/** The file itself, or a copy with other ports in a folder that ends with us. */
function confForPorts(): string {
  if (ports === USUAL_PORTS) return CONF;
  const folder = mkdtempSync(join(tmpdir(), 'sluice-demo-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  const text = USUAL_PORTS.reduce(
    (conf, usual, at) => conf.replace(`127.0.0.1:${usual}`, `127.0.0.1:${ports[at]}`),
    readFileSync(CONF, 'utf8'),
  );
  const path = join(folder, 'conf.yaml');
  writeFileSync(path, text);
  return path;
}

function startGateway(conf: string): ChildProcess {
  const args = [...process.execArgv, here('../../bin/sluice.js'), '-c', conf];
  // In a process group of its own: Ctrl-C reaches it once, from us, and not a second time from the terminal.
  const gateway = spawn(process.execPath, args, {
    stdio: ['ignore', 'inherit', 'inherit'],
    detached: true,
  });
  children.push(gateway);
  return gateway;
}

async function gatewayReady(gateway: ChildProcess): Promise<void> {
  const giveUpAt = Date.now() + READY_WITHIN_MS;
  while (!stopping) {
    if (gateway.exitCode !== null) fail('the gateway could not start; its message is above');
    if (Date.now() > giveUpAt) fail(`the gateway was not ready within ${READY_WITHIN_MS / 1000} s`);
    const ready = await fetch(`${ADMIN}/readyz`).then(
      ({ ok }) => ok,
      () => false,
    );
    if (ready) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function ended(child: ChildProcess): Promise<number> {
  if (child.exitCode !== null) return Promise.resolve(child.exitCode);
  return new Promise((resolve) => child.once('exit', (code) => resolve(code ?? 1)));
}

function stop(): void {
  if (stopping) return;
  stopping = true;
  for (const child of children) child.kill('SIGINT');
}

function fail(reason: string): never {
  process.stderr.write(`demo: ${reason}\n`);
  stop();
  process.exit(1);
}

function whatToTry(origins: readonly ChildProcess[], gateway: ChildProcess, conf: string): string {
  const key = `-H 'X-API-Key: secret123'`;
  const [first] = origins;
  return `
Sluice is running (supervisor ${gateway.pid}; configuration ${relative(process.cwd(), conf)}):

  ${GATEWAY}   the gateway, in front of two origins
  ${ORIGIN_PORTS.map((port, at) => `127.0.0.1:${port} (pid ${origins[at]?.pid})`).join(', ')}
  ${ADMIN}   metrics and status

Try, in another terminal:

  # without a key: 401
  curl -i ${GATEWAY}/

  # with the key: 200, from one of the origins; each worker takes them in turn
  curl -i ${key} ${GATEWAY}/

  # 25 at once, when 10 a second and a burst of 20 are allowed: 20 times 200, 5 times 429
  curl -s -o /dev/null -w '%{http_code} ' ${key} '${GATEWAY}/?[1-25]'

  # a loop of curls is slower than one curl: what it takes longer earns it a few more than 20
  for i in $(seq 25); do curl -s -o /dev/null -w '%{http_code} ' ${key} ${GATEWAY}/; done

  # when a refused client may come back
  curl -s -o /dev/null -D - ${key} '${GATEWAY}/?[1-25]' | grep -i retry-after

  # figures
  curl -s ${ADMIN}/metrics | grep ^sluice_

  # one origin dies: traffic goes on; started again, it is back within a second
  kill ${first?.pid}
  npm run --silent demo:origin -- ${ORIGIN_PORTS[0]}

  # load that the limit lets through
  npm run load${ports === USUAL_PORTS ? '' : ` -- --url ${GATEWAY}/`}

Stop: Ctrl-C here. How to upgrade under load: docs/guide/production.md

`;
}

await main();
