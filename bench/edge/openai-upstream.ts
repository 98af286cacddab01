/**
 * An OpenAI-compatible server for the other gateways, which do not speak our protocol: an answer of
 * so many tokens at once, whole or one event a token, without any work.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { MODEL } from './gateways.ts';

export type OpenAiUpstream = { url: string; close(): void };

export async function startOpenAiUpstream(tokens: number): Promise<OpenAiUpstream> {
  const head = { id: 'chatcmpl-1', created: 0, model: MODEL };
  const usage = { prompt_tokens: 1, completion_tokens: tokens, total_tokens: tokens + 1 };
  const whole = JSON.stringify({
    ...head,
    object: 'chat.completion',
    choices: [{ index: 0, message: { role: 'assistant', content: 'a'.repeat(tokens) }, finish_reason: 'stop' }],
    usage,
  });
  const chunk = (delta: object, finish_reason: string | null) => {
    const choices = [{ index: 0, delta, finish_reason }];
    return `data: ${JSON.stringify({ ...head, object: 'chat.completion.chunk', choices })}\n\n`;
  };
  const token = chunk({ content: 'a' }, null);
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const piece of request) body += piece;
    if (JSON.parse(body || '{}').stream !== true) {
      response.writeHead(200, { 'content-type': 'application/json' }).end(whole);
      return;
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(chunk({ role: 'assistant', content: '' }, null));
    for (let i = 0; i < tokens; i++) response.write(token);
    response.end(`${chunk({}, 'stop')}data: [DONE]\n\n`);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}
