import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/**
 * Collects this thread's garbage and gives the memory back to the system. Call it once a bundle is
 * loaded: reading a tokenizer and checking weights leave much garbage, and V8 looks at it only when
 * something new is allocated, which may not happen for hours. With SmolLM2 in 4 bits, a backend
 * takes 370 MB with it and 530 MB without.
 */
export function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  // Only a context made after that flag has the function. The flavour makes V8 unmap empty pages;
  // a V8 that does not know it collects all the same.
  const collect: (options: object) => void = runInNewContext('gc');
  collect({ type: 'major', execution: 'sync', flavor: 'last-resort' });
}
