import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { readArgs, type Options } from '../../../../src/supervisor/cli/args.ts';

const NOTHING: Options = {
  conf: undefined,
  test: false,
  daemon: false,
  upgrade: false,
  threads: undefined,
};

const accepted: { args: string[]; options: Partial<Options> }[] = [
  { args: [], options: {} },
  { args: ['-c', 'conf.yaml'], options: { conf: 'conf.yaml' } },
  { args: ['-cconf.yaml'], options: { conf: 'conf.yaml' } },
  { args: ['--conf', 'conf.yaml'], options: { conf: 'conf.yaml' } },
  { args: ['--conf=conf.yaml'], options: { conf: 'conf.yaml' } },
  { args: ['-t'], options: { test: true } },
  { args: ['--test'], options: { test: true } },
  { args: ['-tc', 'conf.yaml'], options: { test: true, conf: 'conf.yaml' } },
  { args: ['-d'], options: { daemon: true } },
  { args: ['--daemon'], options: { daemon: true } },
  { args: ['-u'], options: { upgrade: true } },
  { args: ['--upgrade'], options: { upgrade: true } },
  {
    args: ['-c', 'conf.yaml', '-d', '-u'],
    options: { conf: 'conf.yaml', daemon: true, upgrade: true },
  },
  { args: ['-duc', 'conf.yaml'], options: { conf: 'conf.yaml', daemon: true, upgrade: true } },
  { args: ['--threads', '1'], options: { threads: 1 } },
  { args: ['--threads=1024'], options: { threads: 1024 } },
];

const refused = [
  { args: ['--threads', '0'], says: /^--threads: expected a whole number from 1 to 1024, got "0"/ },
  { args: ['--threads', '1025'], says: /got "1025"/ },
  { args: ['--threads', '1.5'], says: /got "1.5"/ },
  { args: ['--threads', 'two'], says: /got "two"/ },
  { args: ['--threads='], says: /got ""/ },
  { args: ['--threads'], says: /--threads.*argument missing/ },
  { args: ['-c'], says: /--conf.*argument missing/ },
  { args: ['--conf='], says: /--conf: expected a file, got ""/ },
  { args: ['conf.yaml'], says: /^unexpected argument "conf\.yaml"/ },
  { args: ['--config', 'conf.yaml'], says: /Unknown option '--config'/ },
  { args: ['-x'], says: /Unknown option '-x'/ },
  { args: ['--test=yes'], says: /--test.*does not take an argument/ },
];

describe('the command line', () => {
  for (const { args, options } of accepted) {
    test(`understands: sluice ${args.join(' ')}`, () => {
      assert.deepEqual(readArgs(args, 'sluice', '1.2.3'), {
        kind: 'run',
        options: { ...NOTHING, ...options },
      });
    });
  }

  for (const { args, says } of refused) {
    test(`refuses: sluice ${args.join(' ')}`, () => {
      assert.throws(() => readArgs(args, 'sluice', '1.2.3'), {
        name: 'StartupError',
        message: says,
      });
      assert.throws(() => readArgs(args, 'gateway.ts', '1.2.3'), /\nTry: gateway\.ts --help$/);
    });
  }

  const asked = [
    { args: ['status'], asks: {} },
    { args: ['-c', 'conf.yaml', 'status'], asks: { conf: 'conf.yaml' } },
    { args: ['status', '-c', 'status'], asks: { conf: 'status' } },
    { args: ['-c', 'status', 'status'], asks: { conf: 'status' } },
    {
      args: ['status', '--json', '--control', '/x.sock'],
      asks: { json: true, control: '/x.sock' },
    },
    { args: ['stop'], asks: { verb: 'stop' } },
    { args: ['stop', '--now'], asks: { verb: 'stop', options: { now: true } } },
  ];
  for (const { args, asks } of asked) {
    test(`understands: sluice ${args.join(' ')}`, () => {
      const { kind, options, ...rest } = { options: {}, ...readArgs(args, 'sluice', '1.2.3') };
      assert.deepEqual(
        { kind, options: { ...options }, ...rest },
        {
          kind: 'ask',
          verb: 'status',
          options: {},
          conf: undefined,
          control: undefined,
          json: false,
          ...asks,
        },
      );
    });
  }

  for (const { args, says } of [
    { args: ['staus'], says: /^unexpected argument "staus"; did you mean "status"\?/ },
    { args: ['purge'], says: /verbs are status, reload/ },
    { args: ['status', '--now'], says: /Unknown option '--now'/ },
    { args: ['status', 'reload'], says: /^unexpected argument "reload"/ },
    { args: ['status', '--control='], says: /^--control: expected the path of a socket/ },
    { args: ['status', '-d'], says: /Unknown option '-d'/ },
  ]) {
    test(`refuses: sluice ${args.join(' ')}`, () => {
      assert.throws(() => readArgs(args, 'sluice', '1.2.3'), { message: says });
    });
  }

  for (const args of [['-h'], ['--help'], ['--help', '--version', 'whatever']]) {
    test(`explains itself: sluice ${args.join(' ')}`, () => {
      const invocation = readArgs(args, 'gateway.ts', '1.2.3');
      assert.ok(invocation.kind === 'print');
      assert.match(invocation.text, /^Usage: gateway\.ts \[options\]/);
      for (const option of ['--conf', '--test', '--threads', '--help', '--version']) {
        assert.ok(invocation.text.includes(option), option);
      }
    });
  }

  test('tells its version', () => {
    assert.deepEqual(readArgs(['--version'], 'sluice', '1.2.3'), { kind: 'print', text: '1.2.3' });
  });
});
