import { execFile, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { writeCode } from './write-code.ts';

const SAID = 'It\'s "odd": 🍳 é ك \\n\n\u007f, all of it';
const sent = {
  model: 'demo',
  messages: [{ role: 'user', content: SAID }],
  stream: true,
  plimsoll: { trace: 'tokens' },
};
const noPython =
  spawnSync('python3', ['--version']).status === 0 ? undefined : 'SKIPPED: no python3 here, to run the code';

test('a trial’s code for Python runs, and sends the prompt as it was asked, emoji and all', async ({ skip }) => {
  skip(noPython !== undefined, noPython);
  const bodies: unknown[] = [];
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      bodies.push(JSON.parse(body));
      response.end('data: [DONE]\n\n');
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  // The cast: it listens on a port, not on a pipe.
  const { port } = server.address() as AddressInfo;
  const place = { origin: `http://127.0.0.1:${port}`, route: '/admin/v1/tenants/acme/policies/v1/try' };
  const env = { PATH: process.env.PATH, PLIMSOLL_KEY: 'pk-anything' };
  try {
    const { stdout } = await promisify(execFile)('python3', ['-c', writeCode('Python', sent, place)], { env });
    expect(stdout).toContain('[DONE]');
    expect(bodies).toEqual([sent]);
  } finally {
    server.close();
  }
});

/** The literals of a program that hold JSON, as Python reads them. */
const READ = `
import ast, sys
texts = [node.value for node in ast.walk(ast.parse(sys.stdin.read())) if isinstance(node, ast.Constant)]
sys.stdout.buffer.write("\\n".join(text for text in texts if str(text).startswith("{")).encode())
`;

test('the code for OpenAI’s client has the same request in it', ({ skip }) => {
  skip(noPython !== undefined, noPython);
  const code = writeCode('Python', sent, { origin: 'http://127.0.0.1:8787', route: '/v1/chat/completions' });
  const { stdout, stderr } = spawnSync('python3', ['-c', READ], { input: code, encoding: 'utf8' });
  expect(stderr).toBe('');
  const { plimsoll, ...openai } = sent;
  expect(stdout.split('\n').map((json) => JSON.parse(json) as unknown)).toEqual([openai, { plimsoll }]);
});

test('Python’s strings are ASCII, with one escape for a character and not one for each half', () => {
  const code = writeCode('Python', sent, { origin: 'http://127.0.0.1:8787', route: '/v1/chat/completions' });
  expect(code).toMatch(/^[\n\x20-\x7e]*$/);
  expect(code).toContain('\\U0001f373');
});
