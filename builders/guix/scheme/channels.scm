;; What an author's channels.scm says, as data. It is a program: it is run in an evaluator, by `guix repl`.
;;   guix repl -- channels.scm FILE
;; The last line that begins with `@repolaunch ` is the answer; what the program itself prints comes before it.
(use-modules (guix channels) (guix openpgp) (guix ui) (guix utils) (json) (srfi srfi-1))

(define (introduction->json channel)
  (let ((introduction (channel-introduction ((@@ (guix channels) ensure-default-introduction) channel))))
    (if introduction
        `(("commit" . ,(channel-introduction-first-signed-commit introduction))
          ("signer" . ,(openpgp-format-fingerprint (channel-introduction-first-commit-signer introduction))))
        'null)))

(define (channel->json channel)
  (let ((location (and=> (channel-location channel) source-properties->location)))
    `(("name" . ,(symbol->string (channel-name channel)))
      ("url" . ,(channel-url channel))
      ("branch" . ,(channel-branch channel))
      ("commit" . ,(or (channel-commit channel) 'null))
      ("introduction" . ,(introduction->json channel))
      ("line" . ,(if location (location-line location) 0)))))

(define channels
  (load* (second (command-line)) (make-user-module '((guix channels)))))

(unless (and (list? channels) (every channel? channels))
  (leave (G_ "'~a' did not return a list of channels~%") (basename (second (command-line)))))

(format #t "~%@repolaunch ~a~%" (scm->json-string `(("channels" . ,(list->vector (map channel->json channels))))))
