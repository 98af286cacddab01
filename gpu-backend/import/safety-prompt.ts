import { join } from 'node:path';

/** The system prompt of `--safety prompt`: a start, for a model that follows instructions. */
export const SAFETY_PROMPT_FILE = join(import.meta.dirname, 'safety-prompt.txt');
