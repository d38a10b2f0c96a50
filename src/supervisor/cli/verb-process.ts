/**
 * Entry of the process that asks the supervisor. One of its own, because
 * `Server.fromArgs()` must not return into a program that was only called to
 * ask, and asking takes waiting.
 */
import { runVerb, type VerbCall } from './run-verb.ts';

const { code, stdout, stderr } = await runVerb(JSON.parse(process.argv[2] ?? '') as VerbCall);
process.stdout.write(stdout);
process.stderr.write(stderr);
process.exitCode = code;
