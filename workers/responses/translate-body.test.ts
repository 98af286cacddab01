/** An answer that breaks inside the translation: the client gets a failed response, the log why. */
import { expect, test } from 'vitest';
import type { PlimsollError } from '#shared/api/errors.ts';
import { parseResponsesRequest } from '#shared/api/responses-request.ts';
import { responseBase } from './response-base.ts';
import { translateBody } from './translate-body.ts';

test.each([
  ['whole', '{"id":"chatcmpl-1","created":1,'],
  ['streamed', 'data: {"id":"chatcmpl-1","created":1,\n\n'],
  ['cut off', ''],
])('%s', async (kind, written) => {
  const { request } = parseResponsesRequest({ model: 'm', input: 'Hello' });
  const base = responseBase(request, { id: `resp_${'0'.repeat(48)}`, store: false });
  const heard: PlimsollError[] = [];
  const body = new Response(written).body!;
  const isStream = kind !== 'whole';
  const save = async () => false;
  const translated = translateBody(body, { base, save, isStream, report: (error) => heard.push(error) });
  const text = await new Response(translated).text();
  expect(text).toContain('"status":"failed"');
  expect(text).toContain('"code":"server_error"');
  expect(heard).toMatchObject([{ code: 'internal_error' }]);
});
