/** What is done when somebody leaves, also if that was before. */
import { expect, test } from 'vitest';
import { onAbort } from './on-abort.ts';

test('what is to be done when a client leaves is done once, whether it leaves later or has left', () => {
  for (const leaves of ['before', 'after']) {
    const client = new AbortController();
    let count = 0;
    if (leaves === 'before') client.abort();
    onAbort(client.signal, () => count++);
    expect(count, leaves).toBe(leaves === 'before' ? 1 : 0);
    client.abort();
    expect(count, leaves).toBe(1);
  }
});
