/**
 * The page's policy forbids code made of text, which zod otherwise tries for speed. Imported before
 * any module that makes a schema.
 */
import * as z from 'zod';

z.config({ jitless: true });
