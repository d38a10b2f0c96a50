import assert from 'node:assert/strict';
import { chmodSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { authority, edge, getTls, launch, makeCertificate } from '../../support/index.ts';
import { pemFiles, startSluice, temporaryFile, type Certificate } from '../../support/index.ts';

const expired = makeCertificate({
  commonName: 'expired.test',
  issuer: authority,
  validFrom: new Date('2020-01-01T00:00:00Z'),
  validTo: new Date('2020-02-01T00:00:00Z'),
});
const other = makeCertificate({ commonName: 'other.test', issuer: authority });
const mismatched: Certificate = { ...edge, key: other.key };
const program = fileURLToPath(new URL('programs/tells-facts.ts', import.meta.url));

/** A folder with the pair as `cert.pem` and `key.pem`, and a file that names them without a path. */
function configuration(t: TestContext, pair: Certificate, tls: string): string {
  const folder = dirname(pemFiles(t, pair).cert);
  const conf = join(folder, 'conf.yaml');
  writeFileSync(
    conf,
    `version: 1
working_directory: ${folder}
services:
  - listen:
      - address: 127.0.0.1:0
        tls: ${tls}
    routes: [{ respond: { status: 200 } }]
`,
  );
  return conf;
}

describe('a certificate of a service that is not good', () => {
  const cases: { name: string; pair: Certificate; tls?: string; says: string }[] = [
    {
      name: 'expired',
      pair: expired,
      says: '6:22: services[0].listen[0].tls.cert: cert.pem: the certificate of expired.test expired on 2020-02-01T00:00:00.000Z',
    },
    {
      name: 'not the one of its key',
      pair: mismatched,
      says: '6:37: services[0].listen[0].tls.key: key.pem does not belong to the certificate in cert.pem',
    },
    {
      name: 'missing',
      pair: edge,
      tls: '{ cert: gone.pem, key: key.pem }',
      says: '6:22: services[0].listen[0].tls.cert: cannot read gone.pem: there is no such file',
    },
    {
      name: 'no certificate but a key',
      pair: edge,
      tls: '{ cert: key.pem, key: key.pem }',
      says: '6:22: services[0].listen[0].tls.cert: key.pem holds no certificate in PEM (-----BEGIN CERTIFICATE-----)',
    },
    {
      name: 'named by a key that Sluice does not have',
      pair: edge,
      tls: '{ crt: cert.pem, key: key.pem }',
      says: '6:16: services[0].listen[0].tls: unknown key "crt"; did you mean "cert"?',
    },
    {
      name: 'for h2, which is not there yet',
      pair: edge,
      tls: '{ cert: cert.pem, key: key.pem, h2: true }',
      says: '6:46: services[0].listen[0].tls: unknown key "h2"',
    },
  ];
  for (const { name, pair, tls = '{ cert: cert.pem, key: key.pem }', says } of cases) {
    test(`because it is ${name} stops the start, and the check of the file`, async (t) => {
      const conf = configuration(t, pair, tls);

      for (const args of [
        ['-c', conf],
        ['-t', '-c', conf],
      ]) {
        const { code, stderr } = await launch(t, args).ended;
        assert.equal(code, 1, stderr);
        assert.ok(stderr.includes(`${conf}:${says}`), stderr);
        assert.doesNotMatch(stderr, /^\s+at |PRIVATE KEY-----\n/m);
      }
    });
  }

  test('stops a program that names it in code', async (t) => {
    const { cert, key } = pemFiles(t, expired);
    const conf = temporaryFile(t, 'conf.yaml', `version: 1\ncert: '${cert}'\nkey: '${key}'\n`);

    for (const args of [
      ['-c', conf],
      ['-t', '-c', conf],
    ]) {
      const { code, stderr } = await launch(t, args, { program }).ended;
      assert.equal(code, 1);
      assert.equal(
        stderr,
        `tells-facts: service "proxy" on 127.0.0.1:0: ${cert}: the certificate of expired.test expired on 2020-02-01T00:00:00.000Z\n`,
      );
    }
  });
});

describe('files of an upstream that are not good', () => {
  const cases: { name: string; top?: string; tls: string; says: RegExp }[] = [
    {
      name: 'an authority that is not there',
      tls: '{ ca: /nonexistent/ca.pem }',
      says: /3:\d+: upstreams\.api\.tls\.ca: cannot read \/nonexistent\/ca\.pem: there is no such file/,
    },
    {
      name: 'ca_file that is not there',
      top: 'ca_file: /nonexistent/ca.pem',
      tls: '{}',
      says: /2:10: ca_file: cannot read \/nonexistent\/ca\.pem: there is no such file/,
    },
    {
      name: 'a certificate without its key',
      tls: '{ cert: cert.pem }',
      says: /3:\d+: upstreams\.api\.tls: expected "cert" and "key" together/,
    },
    {
      name: 'an empty name',
      tls: '{ sni: "" }',
      says: /3:\d+: upstreams\.api\.tls\.sni: expected a name such as "api\.internal", got ""/,
    },
    {
      name: 'a way to verify that there is not',
      tls: '{ verify: false }',
      says: /3:\d+: upstreams\.api\.tls\.verify: expected "full" or "ca" or "off", got false/,
    },
  ];
  for (const { name, top = 'threads: 1', tls, says } of cases) {
    test(`stop the check: ${name}`, async (t) => {
      const conf = temporaryFile(
        t,
        'conf.yaml',
        `version: 1\n${top}\nupstreams: { api: { peers: ['127.0.0.1:1'], tls: ${tls} } }\n` +
          `services: [{ listen: ['127.0.0.1:0'], routes: [{ upstream: api }] }]\n`,
      );

      const { code, stderr } = await launch(t, ['-t', '-c', conf]).ended;

      assert.equal(code, 1);
      assert.match(stderr, says);
    });
  }
});

describe('a private key', () => {
  test('that every user may read is a warning with its place, and no more', async (t) => {
    const conf = configuration(t, edge, '{ cert: cert.pem, key: key.pem }');
    chmodSync(join(dirname(conf), 'key.pem'), 0o644);

    const { code, stderr, stdout } = await launch(t, ['-t', '-c', conf]).ended;

    assert.equal(code, 0);
    assert.match(stdout, /ok/);
    assert.ok(
      stderr.includes(
        `${conf}:6:32: services[0].listen[0].tls.key: key.pem can be read by every user of this machine (mode 0644); run: chmod 600 key.pem`,
      ),
      stderr,
    );
  });

  const isRoot = process.getuid?.() === 0;
  test('is read before root is given up, also for later workers', { skip: !isRoot }, async (t) => {
    const { cert, key } = pemFiles(t, edge);
    const path = join(dirname(key), 'edge.sock');
    const sluice = await startSluice(
      t,
      `
      user: nobody
      services:
        - listen: [{ address: 127.0.0.1:0, tls: { cert: '${cert}', key: '${key}' } }, 'unix:${path}']
          routes: [{ respond: { status: 200 } }]
    `,
    );
    const [worker] = (await sluice.status()).workers;
    const { uid } = statSync(`/proc/${worker!.pid}`);
    assert.notEqual(uid, 0, 'the worker is not root');

    process.kill(worker!.pid, 'SIGKILL');
    await sluice.replaced(worker!.pid);
    assert.equal((await getTls(sluice.port, '/')).status, 200);

    // The file of the socket is in a folder of root's, and stays.
    sluice.process.kill('SIGTERM');
    assert.equal((await sluice.ended).code, 0);
  });

  test('is in no log, no command line and no environment, and is not needed any more', async (t) => {
    const { cert, key } = pemFiles(t, edge);
    const sluice = await startSluice(
      t,
      `
      log: { level: trace }
      services:
        - listen: [{ address: 127.0.0.1:0, tls: { cert: '${cert}', key: '${key}' } }]
          routes: [{ respond: { status: 200 } }]
    `,
    );
    const secret = edge.key.split('\n')[1]!;
    const [worker] = (await sluice.status()).workers;
    writeFileSync(key, 'gone');
    writeFileSync(cert, 'gone');

    process.kill(worker!.pid, 'SIGKILL');
    await sluice.replaced(worker!.pid);

    assert.equal((await getTls(sluice.port, '/')).status, 200);
    assert.ok(!(sluice.stderr + sluice.stdout).includes(secret));
    const [successor] = (await sluice.status()).workers;
    for (const pid of [sluice.pid, successor!.pid]) {
      for (const file of ['cmdline', 'environ'])
        assert.ok(!readFileSync(`/proc/${pid}/${file}`, 'latin1').includes(secret), file);
    }
    assert.deepEqual(filesWith(secret, dirname(key)), []);
  });
});

/** Of a folder, those that hold the text. */
function filesWith(text: string, folder: string): string[] {
  return readdirSync(folder).filter((name) =>
    readFileSync(join(folder, name), 'latin1').includes(text),
  );
}
