-- What the daemon needs: to read the log, and nothing of the data.
CREATE USER cdcd@'%' IDENTIFIED BY 'cdcd';
GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO cdcd@'%';

CREATE TABLE shop.users (
  id    BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY,
  name  VARCHAR(100) NOT NULL,
  since DATETIME(6)  NOT NULL DEFAULT CURRENT_TIMESTAMP(6)
);
