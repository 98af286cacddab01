/**
 * A reporter for vitest: writes what failed into the file `FAILURES_FILE`, one JSON object a line.
 * Unlike vitest's own JSON report, it has the errors of hooks, and those that no test awaited.
 */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Reporter, SerializedError, TestModule } from 'vitest/node';

/** `file` is relative to the folder that vitest runs in; empty if nobody knows it. */
type Failure = { file: string; name: string; message: string };

export default class ReportFailures implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly SerializedError[]): void {
    const file = process.env.FAILURES_FILE;
    if (file === undefined) throw new Error('FAILURES_FILE is not set: it names the file to write what failed into');
    const failures = [...modules.flatMap(failuresOf), ...unhandled.map(failureOfNoTest)];
    writeFileSync(file, failures.map((failure) => `${JSON.stringify(failure)}\n`).join(''));
  }
}

function failuresOf(module: TestModule): Failure[] {
  const file = path.relative(process.cwd(), module.moduleId);
  const failed = (name: string, errors: readonly { message: string }[] = []) =>
    errors.slice(0, 1).map(({ message }) => ({ file, name, message }));
  return [
    ...failed('the file, or a hook of it', module.errors()),
    ...[...module.children.allSuites()].flatMap((suite) => failed(`${suite.fullName}: a hook`, suite.errors())),
    ...[...module.children.allTests('failed')].flatMap((test) => failed(test.fullName, test.result().errors)),
  ];
}

/** vitest says in which file the error came up, and after which test. */
function failureOfNoTest(error: SerializedError): Failure {
  const { VITEST_TEST_PATH: file, VITEST_TEST_NAME: name, message } = error;
  return {
    file: typeof file === 'string' ? path.relative(process.cwd(), file) : '',
    name: `an error that no test awaited${typeof name === 'string' ? `, about when this one ran: ${name}` : ''}`,
    message: String(message),
  };
}
