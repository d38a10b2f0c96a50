import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { PemFiles } from '../../../../src/shared/tls/pem-files.ts';
import { authority, edge, makeCertificate } from '../../../support/index.ts';

const other = makeCertificate({ commonName: 'other.test', issuer: authority });
const past = makeCertificate({
  commonName: 'past.test',
  issuer: authority,
  validFrom: new Date('2020-01-01T00:00:00Z'),
  validTo: new Date('2020-02-01T00:00:00Z'),
});
const future = makeCertificate({
  commonName: 'future.test',
  issuer: authority,
  validFrom: new Date('2049-01-01T00:00:00Z'),
  validTo: new Date('2049-02-01T00:00:00Z'),
});
const encrypted = edgeKeyWithPassphrase();
const brokenCert = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
const brokenKey = '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n';
/** For OpenSSL's default level of security, a key of 1024 bits is none. */
const shortKey = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey;

const cases: { name: string; cert: string; key: string; says: (string | RegExp)[] }[] = [
  { name: 'nothing of a certificate and its key', cert: edge.cert, key: edge.key, says: [] },
  {
    name: 'nothing of a chain',
    cert: edge.cert + authority.cert,
    key: edge.key,
    says: [],
  },
  {
    name: 'text where a certificate should be',
    cert: 'hello\n',
    key: edge.key,
    says: ['cert.pem holds no certificate in PEM (-----BEGIN CERTIFICATE-----)'],
  },
  {
    name: 'files that are swapped, both of them',
    cert: edge.key,
    key: edge.cert,
    says: [
      'cert.pem holds no certificate in PEM (-----BEGIN CERTIFICATE-----)',
      'key.pem holds no private key in PEM (-----BEGIN PRIVATE KEY-----)',
    ],
  },
  {
    name: 'a broken certificate in a chain',
    cert: edge.cert + brokenCert,
    key: edge.key,
    says: [/^cert\.pem: certificate 2 of 2 is broken: /],
  },
  {
    name: 'a broken key',
    cert: edge.cert,
    key: brokenKey,
    says: [/^key\.pem: the private key is broken: /],
  },
  {
    name: 'a key with a passphrase',
    cert: edge.cert,
    key: encrypted,
    says: ['key.pem is encrypted; expected a private key without a passphrase'],
  },
  {
    name: 'the key of another certificate',
    cert: edge.cert,
    key: other.key,
    says: ['key.pem does not belong to the certificate in cert.pem'],
  },
  {
    name: 'a key of another kind',
    cert: edge.cert,
    key: shortKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    says: ['key.pem does not belong to the certificate in cert.pem'],
  },
  {
    name: 'an expired certificate',
    cert: past.cert,
    key: past.key,
    says: ['cert.pem: the certificate of past.test expired on 2020-02-01T00:00:00.000Z'],
  },
  {
    name: 'a certificate of the future',
    cert: future.cert,
    key: future.key,
    says: ['cert.pem: the certificate of future.test is not valid before 2049-01-01T00:00:00.000Z'],
  },
  {
    name: 'an expired certificate further up in the chain',
    cert: edge.cert + past.cert,
    key: edge.key,
    says: ['cert.pem: the certificate of past.test expired on 2020-02-01T00:00:00.000Z'],
  },
];

/** By custom the user that owns nothing. */
const NOBODY = 65_534;

describe('the files of a certificate and its key', () => {
  for (const { name, cert, key, says } of cases) {
    test(`complain about ${name}`, (t) => {
      const folder = folderWith(t, { 'cert.pem': cert, 'key.pem': key });
      const files = new PemFiles(folder);

      const findings = files.checkIdentity({ cert: 'cert.pem', key: 'key.pem' });

      assert.deepEqual(
        findings.filter(({ severity }) => severity === 'warning'),
        [],
      );
      assert.equal(findings.length, says.length, JSON.stringify(findings));
      for (const [at, { message }] of findings.entries()) {
        const said = says[at]!;
        if (typeof said === 'string') assert.equal(message, said);
        else assert.match(message, said);
        assert.ok(!message.includes(secretOf(key)), 'nothing of the key is told');
      }
    });
  }

  test('are named when they are not there, or are folders', (t) => {
    const folder = folderWith(t, {});
    mkdirSync(join(folder, 'key.pem'));
    const files = new PemFiles(folder);

    const findings = files.checkIdentity({ cert: 'cert.pem', key: 'key.pem' });

    assert.deepEqual(findings, [
      {
        of: 'cert',
        severity: 'problem',
        message: 'cannot read cert.pem: there is no such file',
      },
      { of: 'key', severity: 'problem', message: 'cannot read key.pem: it is a folder' },
    ]);
  });

  test('are named when they may not be read', (t) => {
    const folder = folderWith(t, { 'cert.pem': edge.cert, 'key.pem': edge.key });
    chmodSync(folder, 0o755);
    chmodSync(join(folder, 'cert.pem'), 0o644);
    chmodSync(join(folder, 'key.pem'), 0);
    const files = new PemFiles(folder);

    const [finding] = asNobody(() => files.checkIdentity({ cert: 'cert.pem', key: 'key.pem' }));

    assert.match(
      finding!.message,
      /^cannot read key\.pem: permission denied \(running as user \d+\)$/,
    );
  });

  test('warn once of a key that everybody may read', (t) => {
    const folder = folderWith(t, { 'cert.pem': edge.cert, 'key.pem': edge.key });
    chmodSync(join(folder, 'key.pem'), 0o644);
    const files = new PemFiles(folder);
    const identity = { cert: 'cert.pem', key: 'key.pem' };

    assert.deepEqual(files.checkIdentity(identity), [
      {
        of: 'key',
        severity: 'warning',
        message:
          'key.pem can be read by every user of this machine (mode 0644); run: chmod 600 key.pem',
      },
    ]);
    assert.deepEqual(files.checkIdentity(identity), []);
  });

  test('are read once, and kept under the names that were given', (t) => {
    const folder = folderWith(t, { 'cert.pem': edge.cert });
    const files = new PemFiles(folder);
    assert.equal(files.read('cert.pem'), edge.cert);

    writeFileSync(join(folder, 'cert.pem'), other.cert);

    assert.equal(files.read('cert.pem'), edge.cert);
    assert.deepEqual(files.contents, { 'cert.pem': edge.cert });
  });

  test('of authorities must hold at least one', (t) => {
    const folder = folderWith(t, { 'ca.pem': authority.cert, 'empty.pem': '' });
    const files = new PemFiles(folder);

    assert.deepEqual(files.checkAuthorities('ca.pem'), []);
    assert.deepEqual(files.checkAuthorities('empty.pem'), [
      {
        of: 'ca',
        severity: 'problem',
        message: 'empty.pem holds no certificate in PEM (-----BEGIN CERTIFICATE-----)',
      },
    ]);
  });
});

function folderWith(t: TestContext, files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-pem-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files))
    writeFileSync(join(folder, name), text, { mode: 0o600 });
  return folder;
}

function edgeKeyWithPassphrase(): string {
  return edge.privateKey
    .export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'secret' })
    .toString();
}

/** A line of its inside. */
function secretOf(pem: string): string {
  return pem.split('\n')[1] ?? '-';
}

/** Nothing is forbidden to root, so it becomes somebody else for the moment. */
function asNobody<T>(act: () => T): T {
  if (process.geteuid?.() !== 0) return act();
  process.seteuid!(NOBODY);
  try {
    return act();
  } finally {
    process.seteuid!(0);
  }
}
