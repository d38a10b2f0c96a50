import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { loadConfig } from '../../../src/shared/config/load.ts';
import { readArgs } from '../../../src/supervisor/cli/args.ts';

const FOLDER = fileURLToPath(new URL('../../../ops/systemd/', import.meta.url));
const COMMAND = '/usr/local/bin/sluice';
const services = ['sluice.service', 'sluice-forking.service'] as const;

type Section = ReadonlyMap<string, string>;

/** The sections of a unit, each key once: lists are written on one line. */
function read(unit: string): ReadonlyMap<string, Section> {
  const sections = new Map<string, Map<string, string>>();
  let section = '';
  for (const line of readFileSync(join(FOLDER, unit), 'utf8').split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const head = /^\[(\w+)\]$/.exec(line)?.[1];
    if (head !== undefined) sections.set((section = head), new Map());
    else {
      const [, key = '', value = ''] = /^(\w+)=(.*)$/.exec(line) ?? assert.fail(`${unit}: ${line}`);
      assert.ok(!sections.get(section)!.has(key), `${unit}: ${key} twice`);
      sections.get(section)!.set(key, value);
    }
  }
  return sections;
}

const settings = (unit: string) => read(unit).get('Service')!;

function conf() {
  const loaded = loadConfig(join(FOLDER, 'conf.yaml'), {});
  assert.ok(loaded.ok);
  return loaded.settings;
}

describe('the units', () => {
  for (const unit of services) {
    test(`${unit} calls the command as it is`, () => {
      for (const key of ['ExecStart', 'ExecReload']) {
        const [command, ...args] = settings(unit).get(key)!.split(' ');
        assert.equal(command, COMMAND);
        readArgs(args, 'sluice', '1'); // Throws at what there is not.
      }
      assert.match(settings(unit).get('ExecReload')!, / upgrade -c /);
    });

    test(`${unit} gives requests the time that the configuration gives them`, () => {
      const { grace_period_seconds, graceful_shutdown_timeout_seconds } = conf();
      assert.equal(settings(unit).get('KillMode'), 'mixed');
      assert.ok(
        Number(settings(unit).get('TimeoutStopSec')) >
          grace_period_seconds + graceful_shutdown_timeout_seconds,
      );
    });
  }

  test('sluice.service needs no root, is told when it serves, and keeps sockets', () => {
    const expected = {
      Type: 'notify',
      User: 'sluice',
      AmbientCapabilities: 'CAP_NET_BIND_SERVICE',
      CapabilityBoundingSet: 'CAP_NET_BIND_SERVICE',
      NoNewPrivileges: 'yes',
    };
    for (const [key, value] of Object.entries(expected))
      assert.equal(settings('sluice.service').get(key), value);
    assert.ok(Number(settings('sluice.service').get('FileDescriptorStoreMax')) > 0);
    assert.ok(Number(settings('sluice.service').get('WatchdogSec')) > 0);
  });

  test('sluice-forking.service finds the pid file where the configuration has it', () => {
    const { pid_file } = conf();
    assert.equal(settings('sluice-forking.service').get('Type'), 'forking');
    assert.equal(settings('sluice-forking.service').get('PIDFile'), pid_file);
    assert.match(settings('sluice-forking.service').get('ExecStart')!, / -d$/);
  });

  test('sluice.socket is for a service of the configuration, by address and by name', () => {
    const socket = read('sluice.socket').get('Socket')!;
    const { name, listen } = conf().services[0]!;
    assert.equal(socket.get('FileDescriptorName'), name);
    const [host, port] = socket.get('ListenStream')!.split(':');
    assert.deepEqual(listen[0]!.place, { host, port: Number(port) });
  });

  const analyze = spawnSync('systemd-analyze', ['--version']).status === 0;
  const absent = !analyze && 'systemd-analyze is not installed here';
  test('are what systemd-analyze verify accepts', { skip: absent }, (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-units-'));
    t.after(() => rmSync(folder, { recursive: true }));
    const units = [...services, 'sluice.socket'].map((unit) => {
      // It wants commands that are there.
      const text = readFileSync(join(FOLDER, unit), 'utf8').replaceAll(COMMAND, process.execPath);
      writeFileSync(join(folder, unit), text);
      return join(folder, unit);
    });

    execFileSync('systemd-analyze', ['verify', '--man=no', ...units], { stdio: 'pipe' });
  });
});
