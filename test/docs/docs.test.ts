/** What the documents say is so: their programs run, their files load, their links lead somewhere. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, globSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { authority, edge, launch, pemFiles, temporaryFile } from '../support/index.ts';
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
  const programs = documents
    .filter(({ path }) => path === 'README.md' || path.startsWith('docs/guide/'))
    .flatMap(({ path, fences }) =>
      fences.filter(({ language }) => language === 'ts').map(({ content }) => ({ path, content })),
    );

  test('are those in examples/, to the letter, in whole or in parts', () => {
    assert.ok(programs.some(({ path }) => path === 'README.md'));
    for (const { path, content } of programs) {
      const [, part, file = ''] = /^\/\/ (from )?(examples\/\S+)\n/.exec(content) ?? [];
      assert.notEqual(file, '', `a program in ${path} does not say which example it is from`);
      const program = readFileSync(join(ROOT, file), 'utf8');
      const shown = content.slice(content.indexOf('\n') + 1);
      if (part === undefined) assert.equal(shown, program, `${file} in ${path}`);
      for (const piece of shown.split('\n// …\n')) {
        // The middle of a program is not as deep in a document as it is there.
        const isThere = flush(program).includes(flush(piece).trim());
        assert.ok(isThere, `${file} in ${path}: ${piece}`);
      }
    }
  });
});

describe('commands in the documents', () => {
  const fences = documents.flatMap(({ path, fences: all }) =>
    all.filter(({ language }) => language === 'sh').map(({ content }) => ({ path, content })),
  );

  test('can be read by a shell', async () => {
    assert.ok(fences.length > 10);
    for (const { path, content } of fences) {
      // Rejects with what the shell does not understand.
      await promisify(execFile)('bash', ['-n', '-c', content]).catch((error: Error) =>
        assert.fail(`${path}: ${error.message}`),
      );
    }
  });

  test('name files that are there', () => {
    const named = fences.flatMap(({ path, content }) =>
      [...content.matchAll(/(?<![\w./-])(?:examples|bin|bench|ops)\/\S+\.\w+/g)].map(([file]) => ({
        path,
        file,
      })),
    );
    assert.ok(named.some(({ file }) => file === 'bin/sluice.js'));
    assert.deepEqual(
      named.filter(({ file }) => !existsSync(join(ROOT, file))),
      [],
    );
  });
});

describe('configuration files in the documents', () => {
  const files = fencesThatBeginWith(/^# conf\.yaml\n/);

  test('are there, and all of them are whole', () => {
    assert.ok(files.some(({ path }) => path === 'README.md'));
    const inGuide = ({ path }: { path: string }) =>
      path === 'README.md' || path.startsWith('docs/guide/');
    const yaml = documents
      .filter(inGuide)
      .flatMap(({ fences }) => fences.filter(({ language }) => language === 'yaml'));
    assert.equal(files.filter(inGuide).length, yaml.length, 'a file begins with "# conf.yaml"');
  });

  for (const [index, { path, content }] of files.entries()) {
    test(`number ${index + 1}, of ${path}, loads without a warning`, async (t) => {
      const conf = temporaryFile(t, 'conf.yaml', content);
      // The names that the documents give to certificates.
      const cwd = dirname(pemFiles(t, edge).cert);
      writeFileSync(join(cwd, 'ca.pem'), authority.cert);
      const { ended } = launch(t, ['-t', '-c', conf], {
        cwd,
        env: { API_KEY: 'secret123', STICKY_SECRET: 'nobody knows this' },
      });
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

function flush(program: string): string {
  return program.replaceAll(/^ +/gm, '');
}

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
