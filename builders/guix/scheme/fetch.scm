;; Fetch channels, make sure of who signed them, put them into the store. The only script that has a network, and it
;; runs nothing of what it fetches.
;;   guix repl -- fetch.scm CHANNELS.json AUTHENTICATE
(use-modules (guix channels) (guix openpgp) (guix store) (json) (ice-9 match) (srfi srfi-1))

(define (json->channel json)
  (define (field name) (assoc-ref json name))
  (channel
   (name (string->symbol (field "name")))
   (url (field "url"))
   (branch (field "branch"))
   (commit (match (field "commit") ((? string? commit) commit) (_ #f)))
   (introduction
    (match (field "introduction")
      (((keys . values) ...)
       (let ((introduction (assoc-ref json "introduction")))
         (make-channel-introduction (assoc-ref introduction "commit")
                                    (openpgp-fingerprint (assoc-ref introduction "signer")))))
      (_ #f)))))

(define (dependency->json channel)
  `(("name" . ,(symbol->string (channel-name channel)))
    ("url" . ,(channel-url channel))
    ("branch" . ,(channel-branch channel))
    ("commit" . ,(or (channel-commit channel) 'null))
    ("introduction" . ,(match (channel-introduction channel)
                         (#f 'null)
                         (introduction
                          `(("commit" . ,(channel-introduction-first-signed-commit introduction))
                            ("signer" . ,(openpgp-format-fingerprint
                                          (channel-introduction-first-commit-signer introduction)))))))
    ("line" . 0)))

(define latest-channel-instance (@@ (guix channels) latest-channel-instance))
(define channel-instance-dependencies (@@ (guix channels) channel-instance-dependencies))

(match (command-line)
  ((_ file authenticate)
   (with-store store
     (for-each
      (lambda (json)
        (let ((instance (latest-channel-instance store (json->channel json)
                                                 #:authenticate? (string=? authenticate "authenticate"))))
          (format #t "~%@repolaunch ~a~%"
                  (scm->json-string
                   `(("name" . ,(assoc-ref json "name"))
                     ("commit" . ,(channel-instance-commit instance))
                     ("checkout" . ,(channel-instance-checkout instance))
                     ("dependencies" . ,(list->vector
                                         (map dependency->json (channel-instance-dependencies instance)))))))))
      (vector->list (call-with-input-file file json->scm))))))
