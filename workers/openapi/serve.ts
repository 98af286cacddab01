/** `GET /openapi.json` */
import type { AppContext } from '../request/context.ts';
import { openApiDocument } from './document.ts';

/** The document is made when it is first asked for, once for each isolate. */
export function openApi() {
  let document: string | undefined;
  return (c: AppContext): Response => {
    document ??= JSON.stringify(openApiDocument());
    return c.body(document, 200, { 'content-type': 'application/json' });
  };
}
