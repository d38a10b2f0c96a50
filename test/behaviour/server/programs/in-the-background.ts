/**
 * A program with background services: `warm-up` has to be told to go on before the proxy
 * accepts connections, `count` needs both, and `fails` throws twice. Its file may ask for more.
 */
import { existsSync, watch } from 'node:fs';
import { dirname } from 'node:path';
import process from 'node:process';
import { backgroundService, httpService, metrics, Server, type TaskContext } from 'sluice';

interface Own {
  /** A file whose appearing lets `warm-up` be ready. */
  readonly gate: string;
  readonly readyTimeoutMs?: number;
  readonly wrong?: 'circle' | 'unknown' | 'name';
  /** `count` takes no notice of being told to stop. */
  readonly deaf?: boolean;
}

const runs = metrics.counter({ name: 'tasks_failed_total', help: 'Times that a task has thrown.' });
const server = Server.fromArgs();
const { gate, readyTimeoutMs, wrong, deaf } = server.configuration as unknown as Own;

const edge = httpService((session) => session.respondJson(200, process.pid), { name: 'edge' });
const warmUp = backgroundService(
  'warm-up',
  async ({ ready, log, configuration }) => {
    log.info({ gate: configuration['gate'] }, 'warming up');
    await appears(gate);
    ready();
  },
  readyTimeoutMs === undefined ? {} : { readyTimeoutMs },
);
const count = backgroundService('count', async ({ signal, log, ready }: TaskContext) => {
  ready();
  log.info({}, 'counting');
  if (deaf) await new Promise(() => {});
  await new Promise((resolve) => {
    signal.addEventListener('abort', resolve);
  });
  log.info({}, 'counting no more');
});
let attempts = 0;
const fails = backgroundService('fails', ({ log }) => {
  attempts += 1;
  if (attempts < 3) {
    runs.add();
    throw new Error(`attempt ${attempts}, made for the test`);
  }
  log.info({ attempts }, 'succeeded');
});

edge.dependsOn(warmUp).addTcp('127.0.0.1:0');
count.dependsOn(warmUp, edge);
if (wrong === 'circle') warmUp.dependsOn(count);
if (wrong === 'unknown') edge.dependsOn(backgroundService('forgotten', () => {}));
for (const service of [edge, warmUp, count, fails]) server.addService(service);
if (wrong === 'name') server.addService(backgroundService('edge', () => {}));
await server.run();

function appears(path: string): Promise<void> {
  return new Promise((resolve) => {
    const watcher = watch(dirname(path), look);
    function look(): void {
      if (!existsSync(path)) return;
      watcher.close();
      resolve();
    }
    look();
  });
}
