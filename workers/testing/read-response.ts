/** Reads responses as a careful client does: by our schemas, and by OpenAI's. */
import { ResponseObject } from '#shared/api/responses-answer.ts';
import { ResponseEvent } from '#shared/api/responses-events.ts';
import { holdToOpenAI, holdToOpenAIEvent } from './hold-to-openai.ts';

export async function readResponse(answer: Response): Promise<ResponseObject> {
  if (!answer.ok) throw new Error(`${answer.status}: ${await answer.text()}`);
  const value: unknown = await answer.json();
  holdToOpenAI('Response', value);
  return ResponseObject.parse(value);
}

/** Every event of a stream. Throws unless their numbers count from 0. */
export async function readEvents(answer: Response): Promise<ResponseEvent[]> {
  if (!answer.ok) throw new Error(`${answer.status}: ${await answer.text()}`);
  const blocks = (await answer.text()).split('\n\n').filter((block) => block !== '' && !block.startsWith(':'));
  return blocks.map((block, index) => {
    const [, name, data = ''] = /^event: (.*)\ndata: (.*)$/.exec(block) ?? [];
    const value: unknown = JSON.parse(data);
    const event = ResponseEvent.parse(value);
    holdToOpenAIEvent(event);
    if (event.type !== name || event.sequence_number !== index) throw new Error(`out of order: ${block}`);
    return event;
  });
}

export const only = <T extends ResponseEvent['type']>(events: readonly ResponseEvent[], type: T) =>
  events.filter((event): event is Extract<ResponseEvent, { type: T }> => event.type === type);

/** The response as the last event has it. */
export function lastResponse(events: readonly ResponseEvent[]): ResponseObject {
  const last = events.at(-1);
  if (last === undefined || !('response' in last)) throw new Error(`the last event is ${last?.type}`);
  return last.response;
}
