/** Reads the server-sent events of a response: the JSON of each `data:`, up to `[DONE]`. */

/** Throws if the stream ends without `[DONE]`: a broken answer must not look like a whole one. */
export async function* readEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<unknown, void, void> {
  for await (const block of blocks(body)) {
    const data = block
      .split('\n')
      .filter((line) => line.startsWith('data:'))
      .map((line) => line.slice('data:'.length).trimStart())
      .join('\n');
    if (data === '[DONE]') return;
    // A block without data is a comment: the edge is still waiting.
    if (data !== '') yield JSON.parse(data);
  }
  throw new Error('The answer broke off before its end.');
}

/** What stands between empty lines. */
async function* blocks(body: ReadableStream<Uint8Array>): AsyncGenerator<string, void, void> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const parts = (rest + decoder.decode(value, { stream: true })).split('\n\n');
      rest = parts.pop() ?? '';
      yield* parts;
    }
  } finally {
    // Whoever stops reading lets the edge know, so that nothing more is drawn.
    await reader.cancel().catch(() => undefined);
  }
}
