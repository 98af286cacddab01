/**
 * The page's policy forbids code made of text, which zod otherwise tries for speed. Whatever makes
 * a schema has to come later, so this is imported first of all, and takes no more of zod than it
 * needs.
 */
import { config } from 'zod/v4/core';

config({ jitless: true });
