/** What a script imports: a session of transfer learning, without any page, and what it rejects with. */
export { FanlightError } from '../runtime/errors.js';
export { TransferSession } from './session.js';
