/** What the documents say is so: their programs run, their files load, their links lead somewhere. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, globSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { authority, edge, getTls, makeCertificate, pemFiles } from '../support/index.ts';
import { launch, startPeer, startSluice, startTlsPeer, temporaryFile } from '../support/index.ts';
import { anchorOf } from '../../tools/docs/markdown.ts';
import { phaseEntries } from '../../tools/docs/phases.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const NOT_OURS = /(^|\/)(node_modules|dist)(\/|$)/;

interface Document {
  /** From the root of the repository. */
  readonly path: string;
  readonly text: string;
  /** Without what stands in fences and comments. */
  readonly prose: string;
  readonly fences: readonly { readonly language: string; readonly content: string }[];
}

const documents = globSync('**/*.md', { cwd: ROOT, exclude: (name) => NOT_OURS.test(name) })
  .filter((path) => !NOT_OURS.test(path))
  .sort()
  .map(readDocument);

const fencesThatBeginWith = (start: RegExp) =>
  documents.flatMap(({ path, fences }) =>
    fences.filter(({ content }) => start.test(content)).map(({ content }) => ({ path, content })),
  );

describe('the reference', () => {
  test('is what the code makes of it (if not: npm run docs)', async () => {
    const generator = join(ROOT, 'tools/generate-docs.ts');
    // Rejects with what it printed if it names a stale file.
    await promisify(execFile)(process.execPath, [generator, '--check']);
  });

  test('says of every phase when it runs and what throwing does', () => {
    const phases = phaseEntries();
    assert.ok(phases.some(({ name }) => name === 'upstreamPeer'));
    for (const { name, comment } of phases) {
      assert.match(comment, /^- Runs /m, name);
      assert.match(comment, /^- Throwing /m, name);
    }
  });
});

describe('programs in the documents', () => {
  const programs = fencesThatBeginWith(/^\/\/ examples\//);

  test('are those in examples/, to the letter', () => {
    assert.ok(programs.some(({ path }) => path === 'README.md'));
    for (const { path, content } of programs) {
      const [, file = '', program = ''] = /^\/\/ (\S+)\n(.*)$/s.exec(content) ?? [];
      assert.equal(program, readFileSync(join(ROOT, file), 'utf8'), `${file} in ${path}`);
    }
  });

  test('first-proxy asks for a key, takes its peers in turn, edits a header and limits', async (t) => {
    const peers = [await startPeer(t), await startPeer(t)];
    const addresses = peers.map(({ address }) => `'${address}'`).join(', ');
    const yaml = `listen: '127.0.0.1:0'\npeers: [${addresses}]`;
    const sluice = await startSluice(t, yaml, { program: join(ROOT, 'examples/first-proxy.ts') });
    const headers = { 'x-api-key': 'secret123' };

    assert.equal((await sluice.get('/')).status, 401);
    for (let n = 0; n < 2; n++) {
      const answer = await sluice.get('/', { headers });
      assert.equal(answer.status, 200);
      assert.match(answer.body, /^hello from /);
      assert.equal(answer.headers['server'], 'Gateway');
    }
    assert.deepEqual(
      peers.map(({ requests }) => requests.length),
      [1, 1],
    );

    // Many more than 20 at once: however long they take, some come too early.
    const flood = await Promise.all(
      Array.from({ length: 200 }, () => sluice.get('/', { headers })),
    );
    const refused = flood.find(({ status }) => status === 429);
    assert.match(refused?.headers['retry-after'] ?? '', /^[1-9]\d*$/);
  });

  test('tls serves its client over TLS and verifies its peer', async (t) => {
    const origin = makeCertificate({ commonName: 'origin.test', issuer: authority });
    const peer = await startTlsPeer(t, origin);
    const { cert, key } = pemFiles(t, edge);
    const ca = temporaryFile(t, 'ca.pem', authority.cert);
    const program = join(ROOT, 'examples/tls.ts');
    const keys = `listen: '127.0.0.1:0'\ncert: '${cert}'\nkey: '${key}'\norigin: '${peer.address}'`;
    const good = await startSluice(t, `${keys}\nca: '${ca}'`, { program });
    const bad = await startSluice(t, `${keys}\nca: '${ca}'\norigin_name: other.test`, { program });

    const answer = await getTls(good.port, '/');

    assert.equal(answer.body, 'hello over TLS');
    assert.equal(answer.headers['x-client-tls'], 'TLSv1.3');
    await good.logged(({ msg, status }) => msg === 'answered' && status === 200);
    assert.equal((await getTls(bad.port, '/')).status, 502);
    await bad.logged(({ code }) => code === 'upstream/certificate-refused');
  });
});

describe('configuration files in the documents', () => {
  const files = fencesThatBeginWith(/^# conf\.yaml\n/);

  test('are there', () => assert.ok(files.some(({ path }) => path === 'README.md')));

  for (const [index, { path, content }] of files.entries()) {
    test(`number ${index + 1}, of ${path}, loads without a warning`, async (t) => {
      const conf = temporaryFile(t, 'conf.yaml', content);
      // The names that the documents give to certificates.
      const cwd = dirname(pemFiles(t, edge).cert);
      writeFileSync(join(cwd, 'ca.pem'), authority.cert);
      const { ended } = launch(t, ['-t', '-c', conf], { cwd, env: { API_KEY: 'secret123' } });
      const { code, stdout, stderr } = await ended;
      assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: `${conf}: ok\n`, stderr: '' });
    });
  }
});

describe('links in the documents', () => {
  for (const document of documents) {
    test(`of ${document.path} lead to files and headings that are there`, () => {
      assert.deepEqual(
        linksOf(document).filter((link) => !leadsSomewhere(document, link)),
        [],
      );
    });
  }
});

function readDocument(path: string): Document {
  const text = readFileSync(join(ROOT, path), 'utf8');
  const fences = [...text.matchAll(/^```(\w*)\n(.*?)^```$/gms)];
  return {
    path,
    text,
    prose: text.replaceAll(/^```.*?^```$|<!--.*?-->/gms, ''),
    fences: fences.map(([, language = '', content = '']) => ({ language, content })),
  };
}

/** Relative ones: whether others still answer is not for a test to say. */
function linksOf({ prose }: Document): string[] {
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target = '']) => target)
    .filter((target) => !/^[a-z]+:/.test(target));
}

function leadsSomewhere({ path, prose }: Document, link: string): boolean {
  const [file = '', anchor] = link.split('#');
  const target = file === '' ? path : join(dirname(path), file);
  if (!existsSync(join(ROOT, target))) return false;
  if (anchor === undefined || !target.endsWith('.md')) return true;
  return headingsOf(file === '' ? prose : readDocument(target).prose).includes(anchor);
}

function headingsOf(prose: string): string[] {
  return [...prose.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => anchorOf(heading));
}
