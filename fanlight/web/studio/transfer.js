/** What a script imports: a session of transfer learning, without any page. */
export { TransferSession } from './session.js';
