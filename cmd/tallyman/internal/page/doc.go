// Package page serves a page that shows in a browser what an archive holds, what it waits
// for and what has failed, and has retried, cancelled or accepted what a person wants.
//
// Its words:
//
//   - A verb is what is done: retry, cancel or accept. An action is a verb and what it is
//     for: one export, or a group that failed by one cause, waits, or has doubts.
//   - Nothing is done by one click: a page says what an action does and how many exports it
//     touches, and its form has it done. A run is an action that is being done, or was.
//   - A list is of exports that a query lets pass, and is shown a part at a time.
//   - To look is to ask what is under way; that is done once for all browsers that look on.
//   - A session is of a browser that was given the token.
package page
