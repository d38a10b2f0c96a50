/**
 * The certificates and keys of a server: read once, in the first process, while
 * it may still read them, and checked so that what is wrong with them stops the
 * start and not the first handshake. Workers get what was read.
 *
 * Nothing of a key's content is ever part of a message.
 */
import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { createSecureContext } from 'node:tls';

/** Paths of a certificate, followed by those that lead to its root, and of its private key. */
export interface IdentityFiles {
  readonly cert: string;
  readonly key: string;
}

/** Something about one of the files. */
export interface Finding {
  readonly of: 'cert' | 'key' | 'ca';
  readonly severity: 'problem' | 'warning';
  /** Begins with the path. */
  readonly message: string;
}

/** By path, as it was written. */
export type PemContents = Readonly<Record<string, string>>;

export class PemFiles {
  readonly #folder: string;
  readonly #now: number;
  readonly #contents = new Map<string, string>();
  readonly #checked = new Map<string, readonly Finding[]>();

  /**
   * @param folder where relative paths begin
   * @param now when certificates must be valid, milliseconds since 1970
   */
  constructor(folder: string | undefined, now = Date.now()) {
    this.#folder = folder ?? '.';
    this.#now = now;
  }

  /** Of every file that was read so far. */
  get contents(): PemContents {
    return Object.fromEntries(this.#contents);
  }

  /** @throws {Error} it cannot be read; the message names it and says why */
  read(path: string): string {
    const known = this.#contents.get(path);
    if (known !== undefined) return known;
    const text = readText(resolve(this.#folder, path), path);
    this.#contents.set(path, text);
    return text;
  }

  /** What is wrong with a certificate and its key; asked again, only the problems. */
  checkIdentity(files: IdentityFiles): readonly Finding[] {
    const id = JSON.stringify([files.cert, files.key]);
    const known = this.#checked.get(id);
    if (known !== undefined) return known.filter(({ severity }) => severity === 'problem');
    const findings = this.#findIdentity(files);
    this.#checked.set(id, findings);
    return findings;
  }

  #findIdentity({ cert, key }: IdentityFiles): readonly Finding[] {
    const problems: Finding[] = [];
    const note = (of: 'cert' | 'key') => (message: string) =>
      void problems.push({ of, severity: 'problem', message });
    const chain = attempt(() => this.#chain(cert), note('cert'));
    const privateKey = attempt(() => this.#privateKey(key), note('key'));
    if (chain !== undefined) this.#checkDates(cert, chain, note('cert'));
    if (chain === undefined || privateKey === undefined) return problems;

    if (!chain[0]!.checkPrivateKey(privateKey)) {
      note('key')(`${key} does not belong to the certificate in ${cert}`);
    } else {
      attempt(() => this.#tryOut(cert, key), note('cert'));
    }
    return [...problems, ...this.#exposure(key)];
  }

  /** Certificates that others are verified with. */
  checkAuthorities(ca: string): readonly Finding[] {
    const problems: Finding[] = [];
    attempt(
      () => this.#chain(ca),
      (message) => problems.push({ of: 'ca', severity: 'problem', message }),
    );
    return problems;
  }

  #chain(path: string): X509Certificate[] {
    const blocks = this.read(path).match(CERTIFICATES) ?? [];
    if (blocks.length === 0) {
      throw new Error(`${path} holds no certificate in PEM (-----BEGIN CERTIFICATE-----)`);
    }
    return blocks.map((block, index) => {
      try {
        return new X509Certificate(block);
      } catch (thrown) {
        throw new Error(
          `${path}: certificate ${index + 1} of ${blocks.length} is broken: ${reasonOf(thrown)}`,
          { cause: thrown },
        );
      }
    });
  }

  #privateKey(path: string): KeyObject {
    const text = this.read(path);
    if (!/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text)) {
      throw new Error(`${path} holds no private key in PEM (-----BEGIN PRIVATE KEY-----)`);
    }
    if (ENCRYPTED.test(text)) {
      throw new Error(`${path} is encrypted; expected a private key without a passphrase`);
    }
    try {
      return createPrivateKey(text);
    } catch (thrown) {
      throw new Error(`${path}: the private key is broken: ${reasonOf(thrown)}`, { cause: thrown });
    }
  }

  #checkDates(path: string, chain: readonly X509Certificate[], note: (message: string) => void) {
    for (const certificate of chain) {
      const from = Date.parse(certificate.validFrom);
      const to = Date.parse(certificate.validTo);
      const name = `${path}: the certificate of ${subjectOf(certificate)}`;
      if (this.#now > to) note(`${name} expired on ${new Date(to).toISOString()}`);
      if (this.#now < from) note(`${name} is not valid before ${new Date(from).toISOString()}`);
    }
  }

  /** As a worker will use them: OpenSSL refuses keys that are too short, for one. */
  #tryOut(cert: string, key: string): void {
    try {
      createSecureContext({ cert: this.read(cert), key: this.read(key) });
    } catch (thrown) {
      throw new Error(`${cert} cannot be served: ${reasonOf(thrown)}`, { cause: thrown });
    }
  }

  #exposure(key: string): Finding[] {
    const mode = statSync(resolve(this.#folder, key)).mode & 0o777;
    if ((mode & 0o004) === 0) return [];
    const shown = mode.toString(8).padStart(4, '0');
    const message = `${key} can be read by every user of this machine (mode ${shown}); run: chmod 600 ${key}`;
    return [{ of: 'key', severity: 'warning', message }];
  }
}

const CERTIFICATES =
  /-----BEGIN (?:TRUSTED )?CERTIFICATE-----[\s\S]*?-----END (?:TRUSTED )?CERTIFICATE-----/g;

/** In PKCS #8, and in the older form that OpenSSL had. */
const ENCRYPTED = /-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/m;

function readText(path: string, shown: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (thrown) {
    throw new Error(`cannot read ${shown}: ${whyUnreadable(thrown)}`, { cause: thrown });
  }
}

function whyUnreadable(thrown: unknown): string {
  switch ((thrown as NodeJS.ErrnoException).code) {
    case 'ENOENT':
      return 'there is no such file';
    case 'EACCES':
      return `permission denied (running as user ${process.geteuid?.()})`;
    case 'EISDIR':
      return 'it is a folder';
    default:
      return reasonOf(thrown);
  }
}

function subjectOf({ subject, subjectAltName }: X509Certificate): string {
  const name = /^CN=(.*)$/m.exec(subject ?? '')?.[1];
  return name ?? subjectAltName ?? 'an unnamed subject';
}

function reasonOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

function attempt<T>(step: () => T, onProblem: (message: string) => void): T | undefined {
  try {
    return step();
  } catch (thrown) {
    onProblem(reasonOf(thrown));
    return undefined;
  }
}
