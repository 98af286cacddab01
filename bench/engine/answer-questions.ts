/** The other side of ask-process.ts: answers its parent's questions, one after the other. */
import type { Operations } from './ask-process.ts';

type Question = { id: number; operation: string; options: never };

export function answerQuestions(operations: Operations): void {
  let turn = Promise.resolve();
  process.on('message', ({ id, operation, options }: Question) => {
    turn = turn.then(async () => {
      try {
        process.send!({ id, result: await operations[operation]!(options) });
      } catch (error) {
        process.send!({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
      }
    });
  });
  // Whoever started this is gone. An orderly exit would first wait for onnxruntime's threads.
  process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
}
