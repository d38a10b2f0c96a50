/**
 * The process log: one JSON object per line, through pino. The only file that
 * knows pino. Access logs are written elsewhere, in batches.
 */
import { closeSync } from 'node:fs';
import { pino, type DestinationStream, type Logger } from 'pino';
import boom from 'sonic-boom';
import { openLibc } from '../memory/libc.ts';
import { redirectStandardOutput } from './standard-output.ts';
import { errorFields } from './error-fields.ts';
import { openLogFile } from './log-file.ts';

export type Level = 'trace' | 'debug' | 'info' | 'warn' | 'error';
export type Fields = Readonly<Record<string, unknown>>;

export interface Log {
  trace(fields: Fields, text: string): void;
  debug(fields: Fields, text: string): void;
  info(fields: Fields, text: string): void;
  warn(fields: Fields, text: string): void;
  error(fields: Fields, text: string): void;
  /** A log whose lines carry these fields too. */
  child(fields: Fields): Log;
  /** Everything written so far is with the kernel when it returns. */
  flush(): void;
  /** Opens the file anew, after somebody renamed it. */
  reopen(): void;
}

export interface LogOptions {
  readonly level: Level;
  /** `stderr`, or the path of a file that is appended to. */
  readonly destination: string;
  readonly name: 'supervisor' | 'worker';
  /** Standard output and error are that file too, and are reopened with it. */
  readonly ownsOutput?: boolean;
}

/** Fields with these names never show their value, wherever a program puts them. */
const SECRETS = [
  'authorization',
  'cookie',
  'set-cookie',
  'x-api-key',
  'password',
  'secret',
  'secrets',
  'token',
  'keys',
];

/** When a disk takes no more, this much waits; what comes then is dropped. */
const MAX_WAITING_BYTES = 1024 * 1024;

/** @throws {Error} the file cannot be written; the message names it and says why */
export function createLog(options: LogOptions): Log {
  const { level, destination, name } = options;
  const stream = open(destination);
  const logger = pino(
    {
      level,
      base: { pid: process.pid, process: name },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: errorFields },
      redact: {
        paths: SECRETS.flatMap((key) => [`["${key}"]`, `*["${key}"]`]),
        censor: '[redacted]',
      },
    },
    stream as DestinationStream,
  );
  return wrap(logger, stream, options);
}

function open(destination: string): boom.SonicBoom {
  const toFile = destination !== 'stderr';
  const fd = toFile ? openErrorLog(destination) : 2;
  const stream = new boom.SonicBoom({ fd, sync: true, maxLength: MAX_WAITING_BYTES });
  // What `reopen` opens.
  if (toFile) Object.assign(stream, { file: destination });
  // A full disk or a closed pipe must not end the process, nor keep it from ending.
  stream.on('error', () => {});
  return stream;
}

function openErrorLog(path: string): number {
  try {
    return openLogFile(path);
  } catch (thrown) {
    throw new Error(`cannot write error_log ${path}: ${(thrown as Error).message}`, {
      cause: thrown,
    });
  }
}

function redirectOutput(path: string): void {
  const libc = openLibc();
  if (!('unavailable' in libc)) redirectStandardOutput(path, libc);
}

function wrap(logger: Logger, stream: boom.SonicBoom, options: LogOptions): Log {
  const { destination, ownsOutput = false } = options;
  return {
    trace: (fields, text) => logger.trace(fields, text),
    debug: (fields, text) => logger.debug(fields, text),
    info: (fields, text) => logger.info(fields, text),
    warn: (fields, text) => logger.warn(fields, text),
    error: (fields, text) => logger.error(fields, text),
    child: (fields) => wrap(logger.child(fields), stream, options),
    flush() {
      try {
        stream.flushSync();
      } catch {
        // The disk is full or the reader gone: there is nowhere left to say so.
      }
    },
    reopen() {
      if (destination === 'stderr') return;
      try {
        closeSync(openErrorLog(destination));
        stream.reopen();
        if (ownsOutput) redirectOutput(destination);
      } catch (thrown) {
        logger.error({ err: thrown }, 'error log not reopened; entries go on to the old file');
      }
    },
  };
}
